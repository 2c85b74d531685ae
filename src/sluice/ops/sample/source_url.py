"""Where does a sample come from?"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.sample.stated import Names, text_of
from sluice.sample import Sample

_NAMES = ["source_url", "url", "URL", "image_url", "page_url", "source"]


@measure(version=1, cost="header")
def sample_source_url(sample: Sample, *, fields: Names = _NAMES) -> Annotated[str, Field()]:
    """The address that a sample's JSON metadata or the source's columns give as its origin, as it is written.

    `fields` are names of metadata fields (paths with dots), looked at in this order; the first that holds a
    text counts. Declined with `no such field`, `not a text`, `not a URL` (RFC 3986: a scheme, and a host or
    bucket after `//`) or `metadata not readable`. Nothing is fetched.
    """
    written = text_of(sample, fields)
    try:
        parts = urlsplit(written)
    except ValueError as error:
        raise Declined("not a URL", f"{written!r:.200}: {error}") from error
    if not (parts.scheme and parts.netloc):
        raise Declined("not a URL", f"{written!r:.200}")
    return written
