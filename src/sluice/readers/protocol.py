"""What a reader is: it lists a source as slices and turns a slice into samples."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from sluice.sample import Sample
from sluice.storage import Location


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file of the source as listed: path relative to the source root, bytes, and what tells a change."""

    path: str
    size: int
    mtime_ns: int | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A deterministic part of a source, small enough to be retried: some files, or a range of one shard.

    `start` and `stop` are the reader's own coordinates in a single shard (byte offsets in a tar or JSONL,
    row groups or rows in Parquet); 0 and None mean the whole. `first_row` is the row, within its shard, of
    the slice's first sample. `samples` and `size_bytes` are what listing could tell (None: not known yet).
    `apart` names tar keys whose members stand in several places of the shard, by hash, and whether this is
    the slice that reports them. `children` says, where a splitter has counted them, how many each of the slice's
    samples has; rows are then children.
    """

    files: tuple[FileStat, ...]
    start: int = 0
    stop: int | None = None
    first_row: int = 0
    samples: int | None = None
    size_bytes: int = 0
    apart: tuple[tuple[int, bool], ...] = ()
    children: tuple[int, ...] | None = None


class Reader(Protocol):
    """One format. Constructed with the source's location and the recipe's source settings.

    Keyword-only arguments beside `columns` are the format's own settings. A class may also say how it is told:
    `suffixes` are those of its files; `refines` names the format that the files' names suggest, where only a look
    inside tells (documents in a Parquet file); and a class method `claims(source, file)` takes that look, at the
    head of one file, and says whether it is this format. It never raises for what the file holds. A class method
    `laid_out(source, files)` says it of a whole source by where its files lie, before anything else is considered.

    `addressable` says whether every item's bytes can be fetched again from its view alone (files, members of
    an uncompressed tar); where not, survivors are written by reading their slice again. `folders`, of a reader that
    has it, are all that it reads of a source that is a folder; a run may write to others.
    """

    format: ClassVar[str]
    version: ClassVar[int]
    addressable: bool

    def __init__(self, source: Location, *, columns: dict[str, str] | None = None) -> None: ...

    def slices(self) -> Iterator[Slice]:
        """The source cut into slices, in sorted order; the same for the same listing."""
        ...

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The samples of a slice in source order.

        A sample that cannot be read is yielded with a `read` note, never left out. With `rows` (numbers
        within the slice), only those samples are yielded (others are skipped without reading their bytes).
        """
        ...
