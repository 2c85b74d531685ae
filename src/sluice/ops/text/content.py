"""The text itself, for operators on pairs, which take a feature of the image and one of the text."""

from __future__ import annotations

from typing import Annotated

from sluice.operator import feature

Content = Annotated[str, "the text"]


@feature(scope="text", version=1, cost="header")
def content(text: str) -> Content:
    """The text as it is."""
    return text
