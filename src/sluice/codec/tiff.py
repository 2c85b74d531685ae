"""One page of a TIFF as a TIFF of its own: for whatever looks at, or keeps, a single picture."""

from __future__ import annotations

import io

from sluice.codec.limits import current_limits
from sluice.codec.raster import opened
from sluice.errors import UnreadableError


def tiff_page(data: bytes, page: int) -> bytes:
    """The page (from 0) as an uncompressed TIFF of the same pixels; the only place where a page is re-encoded.

    Raises UnreadableError (`no such page`, or as decoding does) and LimitError.
    """
    current_limits().check_bytes(len(data))
    out = io.BytesIO()
    with opened(io.BytesIO(data)) as (image, _):
        try:
            image.seek(page)
        except EOFError as error:
            raise UnreadableError("no such page", f"page {page} of a TIFF that has fewer") from error
        current_limits().check_size(*image.size)
        image.copy().save(out, format="TIFF")
    return out.getvalue()
