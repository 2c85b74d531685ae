"""Where does one shot of a video end and the next begin?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field as Setting

from sluice.errors import Declined
from sluice.operator import Span, splitter
from sluice.ops.video.clips import Clip, Lengths, MaxMode, children, fitted, shots_between
from sluice.ops.video.shots import hard_cuts
from sluice.sample import Sample


@splitter(version=1, cost="decode", libraries=("numpy", "xxhash"))
def video_split_shots(
    sample: Sample,
    video_content: list[Span | None],
    *,
    min_length_s: Annotated[float, Setting(ge=0)] = 2.0,
    min_frames: Annotated[int, Setting(ge=0)] = 48,
    max_length_s: Annotated[float, Setting(gt=0)] = 60.0,
    max_mode: MaxMode = "stride",
    trim_s: Annotated[float, Setting(ge=0)] = 0.5,
) -> Iterator[Sample]:
    """A video as clips of one shot each: views of the source, nothing is decoded a second time or encoded.

    A cut is a frame that differs from the one before three times as much as its neighbours do (the rule of
    PySceneDetect's adaptive detector) and whose perceptual hash differs in 39.5 % of its bits (that of its hash
    detector); pictures that return within a quarter of a second were hidden by a flash, not cut. Dissolves and fades
    are not found: they stay inside a shot. No cut: the whole video is one shot.

    Of each found cut `trim_s` seconds are left out on both sides, never at the video's own ends. Then shots longer
    than `max_length_s` are cut into pieces of that length (`max_mode: stride`), or after it (`truncate`). Then what is
    shorter than `min_length_s` seconds or `min_frames` frames is left out. The defaults are those of Cosmos-Curate
    (2 s, 48 frames, 60 s, 0.5 s).

    Clips have the fields `source_video` and `source_hash`; `clip_index`; `clip_start_s` and `clip_end_s` (seconds
    since the source's first frame, the end exclusive); `clip_first_pts` and `clip_last_pts` (ticks of the source);
    `clip_frames`; and as evidence `clip_start_kind`, `clip_start_score`, `clip_end_kind`, `clip_end_score` (kinds:
    `cut`, `start`, `end`, `stride`). All other items of the sample go with every clip. Declined with `no clips` where
    none is long enough, with `no video` where there is none.
    """
    videos = [item for _, item in sample.of("video")]
    if not videos:
        raise Declined("no video", "the sample has no video item")
    lengths = Lengths(min_length_s, min_frames, max_length_s, max_mode, trim_s)
    found, short = [], 0
    for video, content in zip(videos, video_content, strict=True):
        if content is None:
            continue  # what is wrong with it is noted where it was decoded
        clips, left_out = fitted(_shots(content), content.times_s, lengths)
        short += left_out
        found += [(video, content.source_hash, clip, _frames(content, clip)) for clip in clips]
    if not found:
        raise Declined(
            "no clips", f"{short} shots or pieces, all shorter than {min_length_s} s or {min_frames} frames"
        )
    yield from children(sample, found, videos)


def _shots(content: Span) -> list[Clip]:
    return shots_between(hard_cuts(content), content.end_s) if len(content) else []


def _frames(content: Span, clip: Clip) -> dict[str, int | None]:
    first, last = np.searchsorted(content.times_s, [clip.start.time_s - 1e-6, clip.end.time_s - 1e-6])
    pts = content["pts"][first:last]
    return {"clip_first_pts": int(pts[0]), "clip_last_pts": int(pts[-1]), "clip_frames": len(pts)}
