"""A seeded choice of a dataset's pictures and videos, for previews."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import xxhash

from sluice.errors import StorageError, UsageError
from sluice.readers import Reader, Slice, open_reader
from sluice.sample import Item, Media, Sample
from sluice.store import RunDir

BROKEN = b""
"""Stands for a picture whose bytes could not be read: it shows as a cell with the reason."""


@dataclass(frozen=True, slots=True)
class Face:
    """What a sample shows of itself: its first video, else its first picture; `media` is None where it is gone."""

    key: str
    modality: str
    media: Media | None

    @property
    def is_video(self) -> bool:
        """Whether it is a video."""
        return self.modality == "video"

    def read(self) -> bytes:
        """The encoded bytes; `BROKEN` where they are gone."""
        try:
            return self.media.read() if self.media is not None else BROKEN
        except StorageError:
            return BROKEN


@dataclass(frozen=True, slots=True)
class _Chosen:
    """One chosen sample: where it stands in the source, and its face where that is a view that can be opened."""

    number: int
    part: int
    row: int
    face: Face
    in_hand: bool


class Choice:
    """Samples that were chosen, in source order. Views are opened when they are shown, one by one."""

    def __init__(self, reader: Reader, parts: dict[int, Slice], chosen: list[_Chosen]) -> None:
        self._reader, self._parts, self._chosen = reader, parts, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def keys(self) -> list[str]:
        """The samples' keys."""
        return [each.face.key for each in self._chosen]

    @property
    def has_videos(self) -> bool:
        """Whether any of them shows a video."""
        return any(each.face.is_video for each in self._chosen)

    def faces(self) -> Iterator[Face]:
        """What they show, one by one; bytes that only a second reading gives are not held."""
        for part, group in groupby(self._chosen, key=lambda each: each.part):
            wanted = list(group)
            again = {each.row for each in wanted if not each.in_hand}
            found = _again(self._reader, self._parts[part], again) if again else iter(())
            for each in wanted:
                yield (
                    each.face if each.in_hand else next(found, Face(each.face.key, each.face.modality, None))
                )


def _again(reader: Reader, part: Slice, rows: set[int]) -> Iterator[Face]:
    for sample in reader.read(part, rows):
        yield _face(sample) or Face(sample.key, "other", None)


def choose(path: str, count: int, seed: int = 0) -> Choice:
    """`count` samples at `path` (of a run: of its output) that have a video or a picture.

    Which ones depends on the samples' ids and `seed` alone. The source's listing is read through once; of files and
    members of plain tars nothing else is read but what is shown. Where samples' bytes come only with the reading
    (compressed tars, tables), slices with chosen samples are read a second time, so that no more than one sample's
    bytes are in memory. Raises UsageError where there is neither video nor picture.
    """
    reader = open_reader(_output_of(path))
    best: list[tuple[int, int, _Chosen]] = []
    parts: dict[int, Slice] = {}
    number = 0
    for at, part in enumerate(reader.slices()):
        for row, sample in enumerate(reader.read(part)):
            face = _face(sample)
            if face is None:
                continue
            luck = -xxhash.xxh3_64_intdigest(sample.id.encode(), seed=seed)
            if len(best) < count or (luck, -number) > best[0][:2]:
                change = heapq.heappush if len(best) < count else heapq.heapreplace
                change(best, (luck, -number, _chosen(number, at, row, face)))
                parts[at] = part
            number += 1
    if not best:
        raise UsageError(
            "there are no pictures or videos here",
            where=path,
            fix="name a folder, shard or run with images or videos",
        )
    chosen = sorted((entry[2] for entry in best), key=lambda each: each.number)
    return Choice(reader, {each.part: parts[each.part] for each in chosen}, chosen)


def _chosen(number: int, part: int, row: int, face: Face) -> _Chosen:
    in_hand = face.media is None or face.media.data is None
    return _Chosen(number, part, row, face if in_hand else Face(face.key, face.modality, None), in_hand)


def _output_of(path: str) -> str:
    """The output of a run (its folder is read as any other dataset), else the path itself."""
    try:
        return RunDir.find(path).output.url
    except UsageError:
        return path


def _face(sample: Sample) -> Face | None:
    """The sample's first video, else its first picture; None where it has neither."""
    found: list[tuple[int, Item]] = [*sample.of("video"), *sample.of("image")]
    return Face(sample.key, found[0][1].modality, found[0][1].media) if found else None
