"""Makes a document of a web page: its texts and pictures as items in order, what it says of itself as fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from sluice.errors import ReadError, StorageError
from sluice.readers.markup import parse
from sluice.readers.page import Block, Content, blocks
from sluice.readers.page_fields import base_of, is_web, joined_to, stated
from sluice.readers.page_pictures import is_drawing, of_data_url
from sluice.readers.table import Origin, find_beside
from sluice.sample import Item, Media, Note, Sample, sample_id
from sluice.sample.members import member_type, sniff_extension

Trouble = tuple[str, str]
"""Reason and detail."""


def page_document(
    data: bytes,
    key: str,
    origin: Origin,
    *,
    content: Content,
    charset: str = "",
    url: str = "",
    said: Mapping[str, Any] | None = None,
    beside: bool = True,
) -> Sample:
    """The document of a page. ReadError where there is none in these bytes.

    `charset` is what the page's server said; `url` the page's address where it is known, else what it states;
    `said` fields that stand before those that the page states; `beside` whether its pictures may lie beside it.
    """
    root = parse(data, charset)
    own = stated(root)
    base = base_of(root, url or own.get("url", ""))
    fields = {**own, **(said or {})}
    if url and own.get("url", url) != url:
        fields["canonical_url"] = own["url"]
    items, notes = [Item("metadata", "application/json", "json")], []
    for block in blocks(root, content):
        number = len(items) - 1
        if not block.is_picture:
            items.append(Item("text", "text/plain", f"{number}.txt", text=block.text))
        elif not is_drawing(block.address):
            item, trouble = _picture(block, number, base, origin if beside else None)
            if trouble is not None:
                notes.append(Note("unreadable", *trouble, "read", len(items)))
            if item is not None:
                items.append(item)
    if len(items) == 1:
        raise ReadError("no content", "nothing but addresses that are no pictures")
    return Sample(sample_id(origin.path, key, origin.row), key, tuple(items), fields, notes=tuple(notes))


def _picture(
    block: Block, number: int, base: str, origin: Origin | None
) -> tuple[Item | None, Trouble | None]:
    """The item of a picture, and why its bytes are not there; no item where the address is that of something else."""
    fields = {name: value for name, value in (("alt", block.alt), ("caption", block.caption)) if value}
    address = block.address
    if address[:5].lower() == "data:":
        try:
            data = of_data_url(address)
        except ReadError as error:
            return _item(number, "", None, fields), (error.reason, error.what)
        return _item(number, sniff_extension(data), Media(size=len(data), data=data), fields), None
    # An address without scheme, on a page of unknown address, is that of a web server all the same.
    url = joined_to(base or "https:", address) if address.startswith("//") else joined_to(base, address)
    path = "" if address.startswith("/") else _path(address)
    if path and origin is not None:
        media, trouble = _beside(path, origin)
        known = media is not None and (media.size is not None or not is_web(url))
        if known or (media is None and not is_web(url)):
            return _item(number, path, media, fields), trouble
    if is_web(url):
        return _item(number, urlsplit(url).path, None, {"url": url, **fields}), None
    if _scheme(url):
        return None, None
    detail = f"{address[:200]!r} is relative, and the page's own address is not known"
    return _item(number, address, None, fields), ("no address", detail)


def _beside(path: str, origin: Origin) -> tuple[Media | None, Trouble | None]:
    try:
        return find_beside(path, origin)
    except StorageError as error:  # no name that a file can have
        return None, ("file missing", f"{path[:200]!r}: {error.what}")


def _item(number: int, path: str, media: Media | None, fields: Mapping[str, Any]) -> Item:
    """A picture named by its place, typed by the extension of its path where that is one of a picture."""
    extension = path.rpartition("/")[2].rpartition(".")[2].lower()
    modality, mime = member_type(f".{extension}")
    if modality != "image":
        extension, mime = "bin", ""
    return Item("image", mime, f"{number}.{extension}", media=media, fields=dict(fields))


def _path(address: str) -> str:
    """The path of a relative address, "" for one with a scheme."""
    return "" if _scheme(address) else unquote(address.partition("#")[0].partition("?")[0])


def _scheme(address: str) -> str:
    try:
        return urlsplit(address).scheme
    except ValueError:
        return "?"  # brackets that are no IPv6 address: of no use, like a scheme that is not known
