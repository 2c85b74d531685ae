"""Finds writers, ours and anyone's, by the name of their format."""

from __future__ import annotations

import difflib
import importlib.metadata
from functools import cache
from os import PathLike
from typing import Any, cast

from sluice.errors import UsageError
from sluice.sample.settings import checked_settings
from sluice.storage import Location
from sluice.writers.protocol import Writer

GROUP = "sluice.writers"
"""Entry point group: each name is a format, each value a class that is a `Writer`."""


@cache
def writers() -> dict[str, importlib.metadata.EntryPoint]:
    """All formats that can be written, by name, with where each comes from."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {point.name: point for point in sorted(found, key=lambda p: p.name)}


def writer_class(name: str) -> type[Writer]:
    """The writer of a format, or `UsageError` with the nearest name."""
    known = writers()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"formats: {', '.join(known) or 'none installed'}"
        raise UsageError(f"there is no writer for the format {name!r}", fix=fix)
    return cast("type[Writer]", known[name].load())


def open_writer(
    path: Location | str | PathLike[str],
    format: str = "webdataset",
    **settings: Any,
) -> Writer:
    """A writer to `path`; a setting that the format does not have is an error with the nearest name."""
    kind = writer_class(format)
    checked = checked_settings(format, kind, settings)
    return kind(path if isinstance(path, Location) else Location(path), **checked)
