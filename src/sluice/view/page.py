"""A whole page that needs nothing else: its style sheet inside it, and leave for nothing but that."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from sluice.view.html import Html, element


def section(anchor: str, title: str, body: Html) -> Html:
    """A part of the page under its own heading."""
    return element("section", element("h2", title), body, id=anchor)


def document(title: str, body: Html, more_css: str = "") -> str:
    """The page as text, with the style sheet of all reports and `more_css` after it."""
    css = resources.files("sluice.view").joinpath("assets/report.css").read_text(encoding="utf-8") + more_css
    digest = base64.b64encode(hashlib.sha256(css.encode("utf-8")).digest()).decode("ascii")
    # Only this style sheet and inlined pictures may load: text that slipped through could not do anything.
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head: list[Any] = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Html(css)),
    ]
    return (
        "<!doctype html>\n" + element("html", element("head", *head), element("body", body), lang="en") + "\n"
    )
