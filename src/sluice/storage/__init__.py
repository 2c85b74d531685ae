"""Paths and bytes anywhere, so that the rest of Sluice never asks where a file lives.

Local paths, `s3://`, `gs://`, `az://` and (read only) `http(s)://` behave alike: a write appears whole or
not at all, a range read gives exactly the bytes asked for or an error, a listing is sorted by path.
"""

from sluice.storage.backend import Entry
from sluice.storage.location import Location, locate

__all__ = ["Entry", "Location", "locate"]
