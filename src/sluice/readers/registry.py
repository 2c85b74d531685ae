"""Finds readers, ours and anyone's, by name or by what lies at a location."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from os import PathLike
from typing import Any, cast

from sluice.errors import SourceError, UsageError
from sluice.readers.limit import LimitedReader
from sluice.readers.protocol import FileStat, Reader
from sluice.readers.source import Source
from sluice.sample.members import member_type
from sluice.sample.settings import checked_settings
from sluice.storage import Location

GROUP = "sluice.readers"
"""Entry point group: each name is a format, each value a class that is a `Reader`."""

MANY_TIMES = 20
"""So many times more media files than tables and tars make a source a folder of media, whatever else lies there."""
_LOOKED_AT = 20_000  # files; a source of more is what its first ones are
_TABLES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
}
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.lz4")
_METADATA = {"metadata.jsonl", "metadata.csv", "metadata.parquet"}


@cache
def readers() -> dict[str, importlib.metadata.EntryPoint]:
    """All formats that can be read, by name, with where each comes from."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {point.name: point for point in sorted(found, key=lambda p: p.name)}


def reader_class(name: str) -> type[Reader]:
    """The reader of a format, or `UsageError` with the nearest name."""
    known = readers()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"formats: {', '.join(known) or 'none installed'}"
        raise UsageError(f"there is no reader for the format {name!r}", fix=fix)
    return cast("type[Reader]", known[name].load())


def detect_format(location: Location | str | PathLike[str]) -> str:
    """The format of what lies at a path: folder, file, glob or brace range.

    `SourceError` where nothing is there, nothing can be read, or several formats are mixed.
    """
    place = location if isinstance(location, Location) else Location(location)
    source = Source.of(place)
    counts: Counter[str] = Counter()
    files = list(islice(source.files(), _LOOKED_AT))
    trees = (name for name in readers() if _is_tree(reader_class(name), source, files))
    if (tree := next(trees, None)) is not None:
        return tree
    for file in files:
        counts[_kind(file.path)] += 1
    formats = _formats(counts, files) if files else []
    pages = _claimed(source, files)
    if pages and not (counts["webdataset"] or any(counts[name] for name in _TABLES.values())):
        # What names its media (a chat's pictures, a page's) stands above them or without them.
        above = all("/" not in f.path for f in files if _kind(f.path) not in ("media", "text"))
        formats = pages if above or not counts["media"] else [*formats, *pages]
    if len(formats) == 1:
        return _refined(formats[0], source, files)
    if not files:
        raise SourceError("there are no files", where=place.url, fix="check the path or the pattern")
    found = ", ".join(f"{n} {kind}" for kind, n in counts.most_common())
    if not formats:
        raise SourceError(f"nothing here can be read (found: {found})", where=place.url, fix="say `format:`")
    raise SourceError(
        f"several formats are mixed here (found: {found})",
        where=place.url,
        fix=f"say which is meant with `format:` ({' or '.join(formats)}), or name the files with a pattern",
    )


def _is_tree(kind: type[Reader], source: Source, files: Sequence[FileStat]) -> bool:
    laid_out = getattr(kind, "laid_out", None)
    return laid_out is not None and bool(laid_out(source, files))


def _claimed(source: Source, files: Sequence[FileStat]) -> list[str]:
    """The formats with suffixes of their own that are here: by the first file of each, where it says so."""
    found = []
    for name in readers():
        kind = reader_class(name)
        suffixes: tuple[str, ...] = getattr(kind, "suffixes", ())
        first = next((f for f in files if suffixes and f.path.lower().endswith(suffixes)), None)
        if first is not None and _claims(kind, source, first):
            found.append(name)
    return found


def _refined(format: str, source: Source, files: Sequence[FileStat]) -> str:
    """The format that the first file of this one turns out to have inside: a table of documents, of chats, …"""
    first = next((f for f in files if _kind(f.path) == format), None)
    if first is None:
        return format
    finer = (n for n in readers() if getattr(reader_class(n), "refines", "") == format)
    return next((name for name in finer if _claims(reader_class(name), source, first)), format)


def _claims(kind: type[Reader], source: Source, file: FileStat) -> bool:
    claims = getattr(kind, "claims", None)
    return True if claims is None else bool(claims(source, file))


def open_reader(
    path: Location | str | PathLike[str],
    format: str | None = None,
    columns: dict[str, str] | None = None,
    limit: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Reader:
    """A reader of what lies at `path`; its format is found out unless given, `limit` is a number of samples.

    `settings` are the format's own; `UsageError` for one that it does not have.
    """
    place = path if isinstance(path, Location) else Location(path)
    name = format or detect_format(place)
    kind = reader_class(name)
    reader = kind(place, columns=columns, **checked_settings(name, kind, settings or {}))
    return reader if limit is None else cast(Reader, LimitedReader(reader, limit))


def _kind(path: str) -> str:
    """What a file's name says it is: a format, "media", "text", or its bare suffix."""
    name = path.rpartition("/")[2].lower()
    if name.endswith(_TARS):
        return "webdataset"
    dot = name.rfind(".")
    suffix = name[dot:] if dot > 0 else ""
    if name in _METADATA or (name.startswith("metadata-") and suffix == ".parquet"):
        return "metadata"
    if suffix in _TABLES:
        return _TABLES[suffix]
    modality = member_type(name)[0] if suffix else "other"
    if modality in ("image", "video", "audio"):
        return "media"
    return "text" if modality == "text" else suffix or "files without suffix"


def _formats(counts: Counter[str], files: Iterable[FileStat]) -> list[str]:
    """The formats that could be meant; one where the answer is clear."""
    strays = sum(counts[name] for name in {*_TABLES.values(), "webdataset"})
    if counts["media"] > MANY_TIMES * strays:
        return [
            "folder"
        ]  # a folder of media with a table or tar left lying about: a sample like any other file
    tables = [name for name in ("jsonl", "csv", "parquet") if counts[name]]
    if counts["webdataset"]:
        # Shards have Parquet and JSON beside them: ours, img2dataset's.
        return ["webdataset", "folder"] if counts["media"] else ["webdataset"]
    if counts["metadata"] or not tables:
        return ["folder"] if counts["media"] or counts["text"] else tables
    if not counts["media"]:
        return tables
    # Tables that name files beside them: the tables at the top, the media below.
    top = all("/" not in f.path for f in files if _kind(f.path) in tables)
    ours = all(f.path.startswith("media/") for f in files if "/" in f.path or _kind(f.path) == "media")
    return tables if len(tables) == 1 and tables[0] != "parquet" and top and ours else ["folder", *tables]
