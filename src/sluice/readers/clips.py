"""Reads clips with their metadata: `clips/*.mp4` and `metas/v0/*.json`, ours and those of cosmos-curate."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import groupby
from typing import ClassVar

import xxhash

from sluice.errors import ReadError, SourceError, StorageError, UsageError
from sluice.readers import clip_metadata
from sluice.readers.folder import SLICE_BYTES, SLICE_SAMPLES
from sluice.readers.jsonl import json_object
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.sample import Item, Media, Sample, sample_id
from sluice.sample.members import member_type
from sluice.storage import Location

CLIPS, FILTERED, METAS = "clips", "filtered_clips", "metas"
LONGEST_JSON = 64 << 20
"""Bytes of one clip's metadata that are held in memory; a larger one fails."""

_BOUNDARY = 512  # one clip in so many ends a slice, so that a new clip shifts its neighbours only


class ClipsReader:
    """A folder with `clips/{id}.mp4` and `metas/{annotation_version}/{id}.json`: a sample a clip, by its id.

    Its items are the video, the captions of its windows (`readers/clip_metadata.py`) and the metadata. Plain values
    of the metadata (`width`, `height`, `framerate`, `num_frames`, `source_video`, …) are the sample's fields, with the
    clip's span as `clip_start_s` and `clip_end_s`, and `valid`. A clip without metadata, or metadata without a clip,
    fails alone; metadata that says it is not `valid`, as of filtered clips, is a sample without video: what lies in
    `filtered_clips/` is not read.
    """

    format: ClassVar[str] = "clips"
    version: ClassVar[int] = 1
    addressable = False

    def __init__(
        self, source: Location, *, columns: dict[str, str] | None = None, annotation_version: str = "v0"
    ) -> None:
        if columns:
            raise UsageError("clips have no columns", fix="remove `columns:`")
        self.source, self.annotation_version = Source.of(source), annotation_version
        if self.source.names is not None or self.source.patterns is not None:
            raise UsageError(
                "clips are read with their metadata, as a folder",
                where=source.url,
                fix=f"name the folder that holds {CLIPS}/ and {METAS}/",
            )

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the source that are read: another version of the metadata may be written beside them."""
        return f"{CLIPS}/", f"{METAS}/{self.annotation_version}/"

    @classmethod
    def laid_out(cls, source: Source, files: Sequence[FileStat]) -> bool:
        """Whether clips and metadata lie here, in folders of these names."""
        is_here = any(file.path.startswith((f"{CLIPS}/", f"{FILTERED}/")) for file in files)
        return is_here and source.names is None and (source.root / METAS).is_dir()

    def slices(self) -> Iterator[Slice]:
        """Cut after a clip whose id's xxh3-64 is 0 modulo 512, and at 1,000 clips or 256 MB."""
        files: list[FileStat] = []
        samples = size = 0
        for key, of_clip in _paired(self._files(CLIPS), self._files(f"{METAS}/{self._version()}")):
            files += of_clip
            samples, size = samples + 1, size + sum(f.size for f in of_clip)
            ends = xxhash.xxh3_64_intdigest(key.encode("utf-8", "surrogateescape")) % _BOUNDARY == 0
            if ends or samples >= SLICE_SAMPLES or size >= SLICE_BYTES:
                yield Slice(tuple(files), samples=samples, size_bytes=size)
                files, samples, size = [], 0, 0
        if files:
            yield Slice(tuple(files), samples=samples, size_bytes=size)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The clips of a slice as views; one whose clip or metadata is not there, or malformed, is a failed sample."""
        clips = (f for f in part.files if f.path.startswith(f"{CLIPS}/"))
        metas = (f for f in part.files if f.path.startswith(f"{METAS}/"))
        for row, (key, files) in enumerate(_paired(clips, metas)):
            if rows is not None and row not in rows:
                continue
            path = f"{CLIPS}/{key}"
            try:
                yield self._sample(key, path, files)
            except ReadError as error:
                yield failed_sample(path, key, 0, error.reason, f"{key}: {error.what}")
            except StorageError as error:
                yield failed_sample(path, key, 0, "file not readable", str(error))

    def _version(self) -> str:
        """The version of the metadata; `SourceError` naming those there are where it is not there."""
        if not (self.source.root / METAS / self.annotation_version).is_dir():
            metas = (self.source.root / METAS).list() if (self.source.root / METAS).is_dir() else ()
            known = sorted({entry.path.partition("/")[0] for entry in metas if "/" in entry.path})
            raise SourceError(
                f"there is no metadata of the version {self.annotation_version!r} here",
                where=self.source.root.url,
                fix=f"set `annotation_version` to one of: {', '.join(known)}"
                if known
                else f"name the folder that holds {CLIPS}/ and {METAS}/",
            )
        return self.annotation_version

    def _files(self, folder: str) -> Iterator[FileStat]:
        place = self.source.root / folder
        if place.is_dir():
            for file in Source(place).files():
                yield FileStat(f"{folder}/{file.path}", file.size, file.mtime_ns, file.etag)

    def _sample(self, key: str, path: str, files: Sequence[FileStat]) -> Sample:
        meta = next((f for f in files if f.path.startswith(f"{METAS}/")), None)
        clips = [f for f in files if f is not meta]
        if len(clips) > 1:
            raise ReadError("several clips of one id", ", ".join(f.path for f in clips))
        if meta is None:
            raise ReadError("no metadata", f"there is no {METAS}/{self.annotation_version}/{key}.json")
        if meta.size > LONGEST_JSON:
            raise ReadError("metadata too large", f"{meta.size:,} bytes")
        place = self.source.locate(meta)
        metadata = json_object(place.read())
        found = clip_metadata.fields(metadata)
        if not clips and found["valid"] is not False:
            raise ReadError("no clip", f"there is no {CLIPS}/{key}.mp4")
        items = [self._video(clip) for clip in clips]
        items += clip_metadata.captions(metadata, self.annotation_version)
        items.append(Item("metadata", "application/json", "json", media=Media(place.url, 0, meta.size)))
        return Sample(sample_id(path, key), key, tuple(items), found)

    def _video(self, file: FileStat) -> Item:
        suffix = file.path.rpartition(".")[2]
        return Item(
            "video",
            member_type(file.path)[1],
            suffix,
            media=Media(self.source.locate(file).url, 0, file.size),
        )


def _paired(clips: Iterable[FileStat], metas: Iterable[FileStat]) -> Iterator[tuple[str, list[FileStat]]]:
    """Clips and metadata by id, in the order of the ids' paths, both listed in byte order.

    Both run through once, however many there are: what agrees up to its first dot stands together in either.
    """
    runs = [
        groupby(_known(files, suffixes), key=_bunch) for files, suffixes in ((clips, _VIDEOS), (metas, _JSON))
    ]
    heads = [next(run, None) for run in runs]
    while any(head is not None for head in heads):
        bunch = min(head[0] for head in heads if head is not None)
        ids: dict[str, list[FileStat]] = {}
        for n, head in enumerate(heads):
            if head is not None and head[0] == bunch:
                for file in head[1]:
                    ids.setdefault(_id(file.path), []).append(file)
                heads[n] = next(runs[n], None)
        yield from sorted(ids.items())


_VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
_JSON = (".json",)


def _known(files: Iterable[FileStat], suffixes: tuple[str, ...]) -> Iterator[FileStat]:
    return (file for file in files if file.path.lower().endswith(suffixes))


def _within(path: str) -> str:
    """The path below `clips/` or `metas/v0/`."""
    top, _, rest = path.partition("/")
    return rest if top == CLIPS else rest.partition("/")[2]


def _id(path: str) -> str:
    return _within(path).rpartition(".")[0]


def _bunch(file: FileStat) -> bytes:
    return _within(file.path).partition(".")[0].encode("utf-8", "surrogateescape") + b"."
