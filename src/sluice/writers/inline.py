"""Which items a table can hold in columns of their own and give back exactly."""

from __future__ import annotations

from sluice.sample.members import member_type, safe_member
from sluice.writers.bodies import Body


def inline_text(found: list[Body]) -> tuple[Body, str] | None:
    """The text item for the text column: `txt` where there is one, else the first; None where none can be.

    Its bytes must be UTF-8, so that they come back the same.
    """
    named = next((b for b in found if b.name == "txt"), None)
    body = named or next((b for b in found if b.item.modality == "text"), None)
    if body is None or body.item.modality != "text":
        return None
    try:
        return body, body.data.decode()
    except UnicodeDecodeError:
        return None


def is_plain_image(key: str, body: Body) -> bool:
    """Is this a picture whose name can be told again from its path?"""
    return is_plain(key, body, "image")


def is_plain(key: str, body: Body, modality: str) -> bool:
    """Is this an item of that modality whose name can be told again from its path?"""
    path = f"{key}.{body.name}"
    named = body.name != "" and safe_member(path) == path and not path.startswith("./")
    known = body.item.modality == modality and member_type(body.name)[0] == modality
    return named and known and not key.endswith("/")
