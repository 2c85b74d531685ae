"""Where the pictures of a page are: what an `img` says of its address, and the bytes of `data:` URLs."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from sluice.codec.signature import signature
from sluice.errors import ReadError
from sluice.readers.markup import Element

LONGEST_DATA_URL = 16 << 20
"""Bytes of a picture that stands in the page itself; a larger one cannot be read."""

_LAZY = (
    "data-src",
    "data-original",
    "data-lazy-src",
    "data-lazy",
    "data-hi-res-src",
    "data-full-src",
    "data-url",
)
"""Attributes from which scripts take the address when a picture comes into view; `src` then holds a stand-in."""

_LAZY_SETS = ("data-srcset", "data-lazy-srcset")
_CANDIDATE = re.compile(r"\s*([^\s,]\S*[^\s,]|[^\s,])(?:\s+([\d.]+)[wx])?\s*(?:,|$)")
_DATA = re.compile(r"data:([^,;\s]*)((?:;[^,;]*)*),", re.I)


def address_of(image: Element) -> str:
    """The address that an `img` gives, "" where it gives none.

    In order: that for lazy loading, `src` unless it is a stand-in (`data:` beside others), the largest of a set
    (`srcset`), that of the `picture` around it.
    """
    source = (image.get("src") or "").strip()
    stands_in = source.lower().startswith("data:")
    lazy = (image.get(name) or "" for name in _LAZY)
    sets = (largest(image.get(name) or "") for name in (*_LAZY_SETS, "srcset"))
    for found in (*lazy, "" if stands_in else source, *sets, _of_picture(image)):
        if found.strip():
            return found.strip()
    return source


def _of_picture(image: Element) -> str:
    around = next(image.iterancestors("picture"), None)
    if around is None:
        return ""
    # libxml2 does not know that `source` holds nothing: what follows one is inside it.
    sets = (source.get("srcset") or source.get("data-srcset") or "" for source in around.iter("source"))
    return next((found for found in map(largest, sets) if found), "")


def largest(candidates: str) -> str:
    """Of a `srcset` the address with the greatest width or density; the first of equals."""
    best, size = "", -1.0
    for address, number in _CANDIDATE.findall(candidates):
        try:
            own = float(number or 1)
        except ValueError:
            own = 0.0
        if own > size and not address.lower().startswith("data:"):
            best, size = address, own
    return best


def is_pixel(image: Element) -> bool:
    """Whether it is 1 x 1 by its attributes: it counts visits and shows nothing."""
    sizes = [(image.get(side) or "").strip().removesuffix("px") for side in ("width", "height")]
    return all(size in ("0", "1") for size in sizes)


def is_drawing(address: str) -> bool:
    """Whether an address is that of an SVG drawing, which is no picture of pixels."""
    if address[:5].lower() == "data:":
        return address[5:18].lower() == "image/svg+xml"
    return address.partition("#")[0].partition("?")[0].lower().endswith((".svg", ".svgz"))


def of_data_url(address: str) -> bytes:
    """The bytes of a `data:` URL (RFC 2397) that holds a picture, by its first bytes; else ReadError."""
    head = _DATA.match(address)
    if head is None:
        raise ReadError("bad data URL", f"{address[:40]!r}")
    if len(address) > LONGEST_DATA_URL * 4 // 3 + head.end():
        raise ReadError("too large", f"a data URL of {len(address):,} characters")
    try:
        data = unquote_to_bytes(address[head.end() :])
        if ";base64" in head[2].lower().replace(" ", ""):
            data = base64.b64decode(b"".join(data.split()) + b"==")
    except (binascii.Error, ValueError) as error:
        raise ReadError("bad data URL", str(error)) from error
    if signature(data[:32]) is None:
        raise ReadError("not an image", f"a data URL of {head[1] or 'text/plain'}")
    return data
