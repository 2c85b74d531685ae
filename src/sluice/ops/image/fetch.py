"""How does an image that is only referred to come to have bytes?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from email.message import Message
from typing import Annotated

from pydantic import AfterValidator
from pydantic import Field as Setting

from sluice.codec.signature import signature
from sluice.errors import UnreadableError
from sluice.operator import mapper
from sluice.operator.alive import waiting
from sluice.operator.spec import Contents
from sluice.sample import Item, Media
from sluice.sample.members import member_type
from sluice.storage.download import Downloader, DownloadError
from sluice.storage.downloads import download

_ONLY_HOW = Contents(lambda value: "")
"""Marks what says how bytes are fetched: it is no part of their identity."""

_EXTENSIONS = {
    "JPEG": "jpg",
    "PNG": "png",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tif",
    "ICO": "ico",
    "JPEG2000": "jp2",
    "JPEG XL": "jxl",
    "WEBP": "webp",
    "PPM": "ppm",
    "AVIF": "avif",
    "HEIF": "heic",
}
_OPT_OUTS = frozenset({"noai", "noimageai"})
_WITH_VALUES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def _is_token(name: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e][\x20-\x7e]*", name):
        raise ValueError("give a name such as `mybot/1.0 (+https://example.org/bot)`, in ASCII")
    return name


@mapper(version=1, cost="remote", scope="image")
class image_fetch:  # noqa: N801 - an operator's name is its class's
    """The image at the address in the item's field `url`, for an item without bytes; others stay as they are.

    Only http and https; addresses that are not public are refused, after redirections too, unless
    `allow_private` (for intranets). A body has at most `max_bytes` and must be an image by its first bytes.
    Servers that opt out are heeded: `X-Robots-Tag` with `noai` or `noimageai`, for all or for the first word of
    `user_agent`, and `tdm-reservation: 1`. One try takes `timeout_s` at most; what may pass (no connection, HTTP
    429 and 5xx) is tried `retries` more times with exponential back-off. An item that gets no bytes is unreadable
    with its reason: `private address`, `opted out`, `too large`, `not an image`, `HTTP 404`, `timed out` and the
    like.

    The fields `sha256` (of the bytes) and `final_url` (after redirections) are added. Bytes, and refusals that will
    not pass, are kept in the store's `downloads` folder: no run asks for them again.
    """

    def __init__(
        self,
        *,
        max_bytes: Annotated[int, Setting(ge=1, le=1 << 30)] = 32 << 20,
        timeout_s: Annotated[float, Setting(gt=0, le=600), _ONLY_HOW] = 30.0,
        retries: Annotated[int, Setting(ge=0, le=20), _ONLY_HOW] = 2,
        user_agent: Annotated[str, AfterValidator(_is_token)] = "sluice",
        allow_private: bool = False,
    ) -> None:
        self._asked = {"max_bytes": max_bytes, "user_agent": user_agent, "allow_private": allow_private}
        robot = re.split(r"[/\s]", user_agent, maxsplit=1)[0].lower()
        self._downloader = Downloader(
            user_agent,
            max_bytes,
            timeout_s,
            retries,
            allow_private,
            accepts=lambda head: "" if signature(head) else "not an image",
            allows=lambda header: "opted out" if opts_out(header, robot) else "",
            waiting=waiting,
        )

    def __call__(self, item: Item) -> Item:
        """The item with its bytes, or UnreadableError with the reason why there are none."""
        url = item.fields.get("url")
        if item.media is not None or not isinstance(url, str):
            return item
        try:
            kept = download(url, self._downloader, self._asked)
        except DownloadError as error:
            raise UnreadableError(error.reason, f"{url[:200]}: {error.what}") from error
        extension = _EXTENSIONS[signature(kept.data[:64]) or ""]
        name, mime = _named(item.name, extension)
        return replace(
            item,
            content_type=mime,
            name=name,
            media=Media(size=len(kept.data), data=kept.data),
            fields={**item.fields, "sha256": kept.sha256, "final_url": kept.url},
        )


def _named(name: str, extension: str) -> tuple[str, str]:
    """The item's name with an extension of the format, and its type; one that fits stays."""
    mime = member_type(f".{extension}")[1]
    if member_type(name)[1] == mime:
        return name, mime
    stem, dot, _ = name.rpartition(".")
    return f"{stem}{dot}{extension}", mime


def opts_out(header: Message, robot: str) -> bool:
    """Whether an answer's header reserves the image from use by this robot (its name in lower case).

    `X-Robots-Tag` as search engines define it: directives, each header line perhaps for one robot (`name: …`);
    `noai` and `noimageai` are those of DeviantArt. `tdm-reservation` is the W3C's TDM Reservation Protocol.
    """
    if (header.get("tdm-reservation") or "").strip() == "1":
        return True
    return any(_OPT_OUTS & _directives(line, robot) for line in header.get_all("X-Robots-Tag") or ())


def _directives(line: str, robot: str) -> set[str]:
    """The directives of one header line that are meant for everyone or for this robot."""
    return set(_meant(line.lower().split(","), robot))


def _meant(parts: Iterable[str], robot: str) -> Iterable[str]:
    meant = True
    for part in parts:
        name, colon, rest = (text.strip() for text in part.partition(":"))
        if colon and name not in _WITH_VALUES:
            meant = name in ("*", robot)
            name = rest
        if meant:
            yield name
