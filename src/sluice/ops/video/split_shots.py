"""Where does one shot of a video end and the next begin?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field as Setting

from sluice.errors import Declined
from sluice.model.files import Passed
from sluice.operator import Span, splitter
from sluice.operator.spec import When
from sluice.ops.video.clips import Clip, Lengths, MaxMode, children, fitted, shots_between
from sluice.ops.video.shots import content_transitions, learned_transitions
from sluice.sample import Sample


@splitter(version=3, cost="decode", libraries=("numpy", "xxhash"))
def video_split_shots(
    sample: Sample,
    video_content: Annotated[list[Span | None] | None, When("detector", "content")],
    video_transnetv2: Annotated[list[Span | None] | None, When("detector", "transnetv2")],
    *,
    detector: Literal["content", "transnetv2"] = "content",
    weights: Passed = "transnetv2",
    min_probability: Annotated[float, Setting(ge=0, le=1)] = 0.4,
    min_length_s: Annotated[float, Setting(ge=0)] = 2.0,
    min_frames: Annotated[int, Setting(ge=0)] = 48,
    max_length_s: Annotated[float, Setting(gt=0)] = 60.0,
    max_mode: MaxMode = "stride",
    trim_s: Annotated[float, Setting(ge=0)] = 0.5,
) -> Iterator[Sample]:
    """A video as clips of one shot each: views of the source, nothing is decoded a second time or encoded.

    `detector: content` needs no weights. A cut is a frame that differs from the one before three times as much as its
    neighbours do (the rule of PySceneDetect's adaptive detector) and whose perceptual hash differs in 39.5 % of its
    bits (that of its hash detector); pictures that return within a quarter of a second were hidden by a flash, not cut.
    A dissolve is a run of frames that are the mean of those before and after them, while these differ in 32 % of their
    bits; a fade goes into black and comes out of it, by degrees on one side at least. Both are of neither shot.

    `detector: transnetv2` is the network of that name with `weights`, a path or name of its released weights for
    PyTorch: shots are the runs between frames at which it says with `min_probability` that a shot ends; runs of several
    such frames, dissolves and fades, are of neither shot.

    Of each found transition `trim_s` seconds are left out on both sides, never at the video's own ends; without any the
    whole video is one shot. Then shots longer than `max_length_s` are cut into pieces of that length
    (`max_mode: stride`), or after it (`truncate`). Then what is shorter than `min_length_s` seconds or `min_frames`
    frames is left out. The defaults are those of Cosmos-Curate (2 s, 48 frames, 60 s, 0.5 s; 0.4).

    Clips have the fields `source_video`, `source_hash`, `source_duration_s` and `source_frames`; `clip_index`;
    `clip_start_s` and `clip_end_s` (seconds since the source's first frame, the end exclusive); `clip_first_pts` and
    `clip_last_pts` (ticks of the source); `clip_frames`; and as evidence `clip_start_kind`, `clip_start_score`,
    `clip_end_kind`, `clip_end_score` (kinds: `cut`, `gradual`, `start`, `end`, `stride`). All other items go with
    every clip. Declined with `no clips` where none is long enough, with `no video` where there is none.
    """
    videos = [item for _, item in sample.of("video")]
    if not videos:
        raise Declined("no video", "the sample has no video item")
    find = content_transitions
    if detector == "transnetv2":
        find = partial(learned_transitions, min_probability=min_probability)
    lengths = Lengths(min_length_s, min_frames, max_length_s, max_mode, trim_s)
    found, short = [], 0
    for video, track in zip(videos, video_content or video_transnetv2 or [], strict=True):
        if track is None:
            continue  # what is wrong with it is noted where it was decoded
        shots = shots_between(find(track), track.end_s) if len(track) else []
        clips, left_out = fitted(shots, track.times_s, lengths)
        short += left_out
        whole = {"source_duration_s": track.end_s, "source_frames": len(track)}
        found += [(video, track.source_hash, clip, {**whole, **_frames(track, clip)}) for clip in clips]
    if not found:
        raise Declined(
            "no clips", f"{short} shots or pieces, all shorter than {min_length_s} s or {min_frames} frames"
        )
    yield from children(sample, found, videos)


def _frames(track: Span, clip: Clip) -> dict[str, int | None]:
    first, last = np.searchsorted(track.times_s, [clip.start.time_s - 1e-6, clip.end.time_s - 1e-6])
    pts = track["pts"][first:last]
    return {"clip_first_pts": int(pts[0]), "clip_last_pts": int(pts[-1]), "clip_frames": len(pts)}
