"""Samples that are to be written as clips: which video is cut out, under which name, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from sluice.codec.video.clip import CutWork
from sluice.errors import ReadError
from sluice.sample import Item, Media, Sample
from sluice.sample.fields import Fields, types_of
from sluice.sample.members import extension_for
from sluice.writers.bodies import Intake, bodies, body_name
from sluice.writers.clip_metadata import is_window

TOLD: dict[str, pa.DataType] = {
    "clip": pa.string(),
    "meta": pa.string(),
    "hash": pa.string(),
    "source_video": pa.string(),
    "start_s": pa.float64(),
    "end_s": pa.float64(),
    "first_pts": pa.int64(),
    "last_pts": pa.int64(),
    "width_px": pa.int32(),
    "height_px": pa.int32(),
    "fps": pa.float64(),
    "frame_count": pa.int64(),
    "duration_s": pa.float64(),
    "size_bytes": pa.int64(),
    "video_codec": pa.string(),
    "pixel_format": pa.string(),
    "audio_codec": pa.string(),
    "mode_used": pa.string(),
    "fallback_reason": pa.string(),
    "has_caption": pa.bool_(),
}
"""What a row says of a clip: where it is, what of the source it is, what it is like."""


@dataclass(frozen=True, slots=True)
class WantedClip:
    """A sample to be written: its position, its name in the output, its video, and what comes with that.

    `known` is the metadata that came with it (an empty one where there was none), `others` are the other items beside
    its video and its captions.
    """

    position: int
    sample: Sample
    name: str
    video: Item
    known: Mapping[str, Any]
    others: tuple[Item, ...]

    @property
    def media(self) -> Media:
        """The view of its video."""
        assert self.video.media is not None
        return self.video.media

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole file and no part of one."""
        return self.media.start_s is None and self.media.end_s is None and self.media.crop is None

    @property
    def source(self) -> Media:
        """The source that it is a view of."""
        return replace(self.media, start_s=None, end_s=None, crop=None)


class WantedClips(Intake):
    """Takes samples in as clips that are wanted, and notes those that were written, and the work of it."""

    def __init__(self) -> None:
        super().__init__()
        self.work = CutWork()

    def wanted(self, samples: Iterable[Sample | None]) -> Iterator[WantedClip]:
        """The samples that have a video of their own to be cut out."""
        taken: set[str] = set()
        for position, sample in enumerate(samples):
            try:
                found = _wanted(position, sample)
                if found.name in taken:
                    raise ReadError("duplicate id in the output")
            except ReadError as error:
                self.failed[position] = error.reason
                continue
            taken.add(found.name)
            yield found

    def note(self, position: int, sample: Sample) -> None:
        """A clip of this sample was written."""
        self.kept.append(position)
        self.ids.append(sample.id)
        self.keys.append(sample.key)
        types = {n: kind for n, kind in types_of(sample.fields).items() if n not in TOLD}
        self.fields.append(Fields({n: v for n, v in sample.fields.items() if n not in TOLD}, types))

    def sort(self, order: Sequence[int]) -> None:
        """Put what was noted in the order of the shard."""
        self.kept = [self.kept[k] for k in order]
        self.ids = [self.ids[k] for k in order]
        self.keys = [self.keys[k] for k in order]
        self.fields = [self.fields[k] for k in order]


def _wanted(position: int, sample: Sample | None) -> WantedClip:
    if sample is None:
        raise ReadError("could not be read again")
    for note in sample.notes:
        if note.kind == "read":
            raise ReadError(note.reason, note.detail)
    videos = [item for item in sample.items if item.modality == "video"]
    if len(videos) != 1 or videos[0].media is None:
        raise ReadError("no video" if not videos else "several videos" if len(videos) > 1 else "no bytes")
    beside = [item for item in sample.items if item is not videos[0] and not is_window(item)]
    meta = next((item for item in beside if body_name(item) == "json"), None)
    known = _metadata_in(sample, meta) if meta is not None else {}
    told = sample.fields.get("span_uuid") or known.get("span_uuid")
    name = sample.key if told == sample.key else sample.id
    others = tuple(item for item in beside if item is not meta)
    return WantedClip(position, sample, name, videos[0], known, others)


def _metadata_in(sample: Sample, item: Item) -> dict[str, Any]:
    """The metadata that came with the sample in this item, where it is an object."""
    (body,) = bodies(replace(sample, items=(item,)))
    try:
        found = json.loads(body.data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def video_suffix(video: Item) -> str:
    """What the name of a video's file ends in."""
    suffix = video.name.rpartition(".")[2]
    return suffix if suffix.isalnum() else extension_for(video.content_type) or "mp4"
