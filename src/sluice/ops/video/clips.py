"""Makes clips of shots: trims, cuts what is too long, leaves out what is too short, and names what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xxhash
from numpy.typing import NDArray

from sluice.ops.video.transition import Transition
from sluice.sample import Item, Sample

Kind = Literal["cut", "gradual", "start", "end", "stride"]
MaxMode = Literal["stride", "truncate"]
_SAME_S = 1e-6


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a shot begins or ends, in seconds of the source, of what kind, and how sure: 0 to 1 (None: by rule)."""

    time_s: float
    kind: Kind
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Lengths:
    """What clips may be: see `video_split_shots`, whose settings these are."""

    min_length_s: float
    min_frames: int
    max_length_s: float
    max_mode: MaxMode
    trim_s: float


@dataclass(frozen=True, slots=True)
class Clip:
    """A part of a source: from one boundary to another, in seconds, and how many frames it has (None: not known)."""

    start: Boundary
    end: Boundary
    frames: int | None = None


def shots_between(transitions: Sequence[Transition], duration_s: float) -> list[Clip]:
    """The runs between transitions, from the source's first frame to its end."""
    starts = [Boundary(0.0, "start"), *(Boundary(t.end_s, t.kind, t.score) for t in transitions)]
    ends = [*(Boundary(t.start_s, t.kind, t.score) for t in transitions), Boundary(duration_s, "end")]
    return [Clip(a, b) for a, b in zip(starts, ends, strict=True) if a.time_s < b.time_s]


def fitted(shots: Sequence[Clip], times_s: NDArray[np.float64], lengths: Lengths) -> tuple[list[Clip], int]:
    """The clips of shots, trimmed, then cut to the longest length, then those that are long enough; and how many
    were not.

    Every clip begins and ends (exclusively) at the time of a frame, or at the source's end.
    """
    pieces = [p for shot in shots for p in _pieces(_trimmed(shot, times_s, lengths.trim_s), times_s, lengths)]
    kept = [p for p in pieces if _long_enough(p, lengths)]
    return kept, len(pieces) - len(kept)


def _trimmed(shot: Clip, times_s: NDArray[np.float64], trim_s: float) -> Clip:
    start = shot.start.time_s + (trim_s if shot.start.kind in ("cut", "gradual") else 0.0)
    end = shot.end.time_s - (trim_s if shot.end.kind in ("cut", "gradual") else 0.0)
    return Clip(_moved(shot.start, start, times_s), _moved(shot.end, end, times_s))


def _moved(boundary: Boundary, time_s: float, times_s: NDArray[np.float64]) -> Boundary:
    """The boundary at the first frame that is not before a time; the source's end stays where it is."""
    if boundary.kind == "end":
        return boundary
    at = int(np.searchsorted(times_s, time_s - _SAME_S))
    return replace(boundary, time_s=float(times_s[at]) if at < len(times_s) else time_s)


def _pieces(shot: Clip, times_s: NDArray[np.float64], lengths: Lengths) -> Iterator[Clip]:
    start, end = shot.start, shot.end
    while end.time_s - start.time_s > lengths.max_length_s + _SAME_S:
        until = _moved(Boundary(0.0, "stride"), start.time_s + lengths.max_length_s, times_s)
        if until.time_s >= end.time_s:  # no frame lies between the longest length and the end
            break
        yield _counted(Clip(start, until), times_s)
        if lengths.max_mode == "truncate":
            return
        start = until
    yield _counted(Clip(start, end), times_s)


def _counted(clip: Clip, times_s: NDArray[np.float64]) -> Clip:
    first, last = np.searchsorted(times_s, [clip.start.time_s - _SAME_S, clip.end.time_s - _SAME_S])
    return replace(clip, frames=int(max(0, last - first)))


def _long_enough(clip: Clip, lengths: Lengths) -> bool:
    frames = clip.frames if clip.frames is not None else lengths.min_frames
    length = clip.end.time_s - clip.start.time_s
    return length >= lengths.min_length_s - _SAME_S and frames >= lengths.min_frames


def children(
    sample: Sample, clips: Sequence[tuple[Item, str, Clip, dict[str, Any]]], videos: Sequence[Item]
) -> Iterator[Sample]:
    """A sample for each clip of its videos: a view of the source, its evidence as fields, all other items with it.

    `clips` are the video, its source's content hash, the clip, and more fields. A clip's id is xxh3-128 of the source's
    content hash, the span and the crop: a source that moves keeps the names of its clips.
    """
    apart = tuple(item for item in sample.items if not any(item is video for video in videos))
    for index, (video, source, clip, more) in enumerate(clips):
        media = video.media
        assert media is not None
        start_s, end_s = clip.start.time_s, clip.end.time_s
        view = replace(media, start_s=start_s, end_s=end_s)
        name = f"{source}\0{start_s:.6f}\0{end_s:.6f}\0{media.crop or ''}"
        evidence = {
            "source_video": sample.key,
            "source_hash": source,
            "clip_index": index,
            "clip_start_s": start_s,
            "clip_end_s": end_s,
            "clip_start_kind": clip.start.kind,
            "clip_start_score": clip.start.score,
            "clip_end_kind": clip.end.kind,
            "clip_end_score": clip.end.score,
        }
        yield replace(
            sample,
            id=xxhash.xxh3_128_hexdigest(name.encode()),
            items=(replace(video, media=view, hash=None), *apart),
            fields={**sample.fields, **evidence, **more},
        )
