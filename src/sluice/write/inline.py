"""Which items a table can hold in columns of their own and give back exactly."""

from __future__ import annotations

from sluice.sample.members import member_type, safe_member
from sluice.write.bodies import Body


def inline_text(body: Body) -> str | None:
    """The text of a text item whose bytes are UTF-8 (and so come back the same), else None."""
    if body.item.modality != "text":
        return None
    try:
        return body.data.decode()
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
