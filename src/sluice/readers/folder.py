"""Reads a folder of files: every picture, video, sound or text with the sidecars of its name."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import groupby
from typing import ClassVar

import xxhash

from sluice.errors import ReadError, UsageError
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.sidecars import Sidecars, is_metadata, metadata_files
from sluice.readers.source import Source
from sluice.sample import MEDIA_MODALITIES, Item, Media, Sample, sample_id
from sluice.sample.members import member_type
from sluice.storage import Location

SLICE_SAMPLES = 1000
SLICE_BYTES = 256 << 20
_BOUNDARY = 512  # one key in so many ends a slice, so that a new file shifts its neighbours only

Named = tuple[str, list[FileStat]]
"""A sample's key and its files in order."""


class FolderReader:
    """A folder (or glob) of files; hidden files and our own runs are left out.

    The key is the path without its last extension. Files that are no media belong to the medium whose path
    they continue (`a.json`, `a.jpg.json` and `a.v2.txt` to `a.jpg`); where they continue none, media that
    continue *their* path join them (`a.left.png`, `a.right.png`, `a.txt`: one sample `a`). Media that differ
    only in the extension, with no sidecar, are samples of their own whose key keeps the extension. Tables
    called `metadata.jsonl|csv|parquet` give fields by their column `file_name`.
    """

    format: ClassVar[str] = "folder"
    version: ClassVar[int] = 1
    addressable = True

    def __init__(self, source: Location, *, columns: dict[str, str] | None = None) -> None:
        if columns:
            raise UsageError("a folder has no columns", fix="remove `columns:`")
        self.source = Source.of(source)
        self._sidecars = Sidecars(self.source)

    def slices(self) -> Iterator[Slice]:
        """Cut after a key whose xxh3-64 is 0 modulo 512, and at 1,000 samples or 256 MB."""
        tables: dict[str, tuple[FileStat, ...]] = {}
        files: list[FileStat] = []
        folders: dict[str, None] = {}
        samples = size = 0
        for bunch in _bunches(f for f in self.source.files() if not is_metadata(f.path)):
            named = _named(bunch)
            folder = bunch[0].path.rpartition("/")[0]
            if folder not in tables:
                tables = {k: v for k, v in tables.items() if f"{folder}/".startswith(f"{k}/" if k else "")}
                tables[folder] = metadata_files(self.source, folder)
            folders |= dict.fromkeys(_above(folder))
            files += bunch
            samples += len(named)
            size += sum(f.size for f in bunch)
            ends = any(_hash(key) % _BOUNDARY == 0 for key, _ in named)
            if ends or samples >= SLICE_SAMPLES or size >= SLICE_BYTES:
                yield _slice(files, folders, tables, samples, size)
                files, folders, samples, size = [], {}, 0, 0
        if files:
            yield _slice(files, folders, tables, samples, size)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The samples of a slice, as views of whole files."""
        fields = self._sidecars.of([f for f in part.files if is_metadata(f.path)])
        files = [f for f in part.files if not is_metadata(f.path)]
        named = (entry for bunch in _bunches(files) for entry in _named(bunch))
        for row, (key, members) in enumerate(named):
            if rows is not None and row not in rows:
                continue
            try:
                yield fields.complete(self._sample(key, members), [f.path for f in members])
            except ReadError as error:
                yield failed_sample(members[0].path, key, 0, error.reason, error.what)

    def _sample(self, key: str, members: list[FileStat]) -> Sample:
        items = []
        for file in members:
            modality, mime = member_type(file.path.rpartition("/")[2])
            media = Media(self.source.locate(file).url, 0, file.size)
            items.append(Item(modality, mime, file.path[len(key) + 1 :], media=media))
        return Sample(sample_id(members[0].path, key), key, tuple(items))


def _slice(
    files: list[FileStat],
    folders: Iterable[str],
    tables: dict[str, tuple[FileStat, ...]],
    samples: int,
    size: int,
) -> Slice:
    beside = {f.path: f for folder in folders for f in tables.get(folder, ())}
    return Slice((*files, *beside.values()), samples=samples, size_bytes=size)


def _above(folder: str) -> list[str]:
    """The folder and all above it, the nearest first, up to the root ""."""
    parts = folder.split("/") if folder else []
    return ["/".join(parts[:n]) for n in range(len(parts), -1, -1)]


def _hash(key: str) -> int:
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "surrogateescape"))


def _bunches(files: Iterable[FileStat]) -> Iterator[list[FileStat]]:
    """Runs of files whose paths agree up to the first dot of the name; no sample is in two of them.

    In byte order they stand together, so that a folder of any size is read with little memory.
    """
    for _, run in groupby(files, key=lambda f: _first_dot(f.path)):
        yield list(run)


def _first_dot(path: str) -> str:
    base = path.rfind("/") + 1
    dot = path.find(".", base)
    # A file without extension is a sample of its own: it does not stand beside `name.*` in the listing.
    return path[:dot] if dot >= 0 else path + "\0"


def _stem(path: str) -> str:
    dot = path.rfind(".")
    return path[:dot] if dot > path.rfind("/") + 1 else path


def _named(bunch: list[FileStat]) -> list[Named]:
    """A bunch of files as samples (the rules are those of `FolderReader`)."""
    if len(bunch) == 1:
        return [(_stem(bunch[0].path), bunch)]
    media = [f for f in bunch if member_type(f.path)[0] in MEDIA_MODALITIES]
    keys = {_stem(f.path) for f in media}
    stems = {_stem(f.path) for f in bunch if f not in media}
    wider = {s for s in stems - keys if not _owner(s + ".", keys) and _owned(s, keys)}
    homes = keys - {k for k in keys if _owner(k, wider)} | wider
    found: dict[str, list[FileStat]] = {}
    for file in bunch:
        stem = _stem(file.path)
        home = stem if stem in homes else _owner(file.path, homes) or stem
        found.setdefault(home, []).append(file)
    return [entry for key, files in found.items() for entry in _apart(key, files)]


def _owner(path: str, keys: Iterable[str]) -> str:
    """The longest key that the path continues after a dot, "" where there is none."""
    return max((k for k in keys if path.startswith(k + ".")), key=len, default="")


def _owned(stem: str, keys: Iterable[str]) -> bool:
    return any(k.startswith(stem + ".") for k in keys)


def _apart(key: str, files: list[FileStat]) -> list[Named]:
    """One sample; or, where nothing but media of the same name stands there, one for each."""
    alone = len(files) > 1 and all(
        member_type(f.path)[0] in MEDIA_MODALITIES and _stem(f.path) == key for f in files
    )
    if not alone or len({member_type(f.path)[0] for f in files}) == len(files):
        return [(key, files)]
    return [(f.path, [f]) for f in files]
