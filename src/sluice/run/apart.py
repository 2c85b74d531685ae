"""Keeps what is written apart from what is read: results among their source would be samples the next time."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from sluice.errors import UsageError
from sluice.readers.source import Source, glob_to_regex
from sluice.storage import Location

_SHARD_NAMES = ("00000.tar", "00000.parquet", "00000.jsonl")


def refuse_inside(source: Location, *written: Location, folders: Sequence[str] | None = None) -> None:
    """UsageError where a run over `source` that writes to these places would read its own files, or over them.

    A source that is a folder holds all that lies in it, or in those `folders` of it (each ends in `/`) that its format
    reads; a pattern or a file only what it names.
    """
    meant = Source.of(source)
    root = _resolved(meant.root)
    for place in written:
        inside = f"{_resolved(place)}/".removeprefix(f"{root}/")
        if inside == f"{_resolved(place)}/" or not _meets(meant, inside, folders):
            continue
        raise UsageError(
            "this lies inside the source and would be read as part of it",
            where=place.url,
            fix=f"write beside it, or read a pattern that leaves it out (source: {source.url})",
        )


def _meets(source: Source, inside: str, folders: Sequence[str] | None) -> bool:
    """Does the source mean a file that a writer may make in the folder `inside` (ends in `/`, or is empty)?

    Of a source's `folders` also one above them: what is written there may go into them.
    """
    made = [inside + name for name in _SHARD_NAMES]
    if source.names is not None:
        return any(re.fullmatch(rf"{re.escape(inside)}\d{{5}}\.\w+", name) for name in source.names)
    if source.patterns is not None:
        return any(re.fullmatch(glob_to_regex(p), name) for p in source.patterns for name in made)
    return folders is None or any(f.startswith(inside) or inside.startswith(f) for f in folders)


def _resolved(place: Location) -> str:
    """The URL without links and a last slash, so that one place has one name."""
    return (os.path.realpath(place.path) if place.is_local else place.url).rstrip("/")
