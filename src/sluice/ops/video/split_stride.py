"""How does a long video become clips of equal length?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field as Setting

from sluice.errors import Declined
from sluice.operator import splitter
from sluice.operator.tracks import source_hash
from sluice.ops.video.clips import Boundary, Clip, children
from sluice.ops.video.info import video_info
from sluice.sample import Sample

_SAME_S = 1e-6


@splitter(version=2, libraries=("av", "xxhash"))
def video_split_stride(
    sample: Sample,
    *,
    length_s: Annotated[float, Setting(gt=0)] = 10.0,
    min_length_s: Annotated[float, Setting(ge=0)] = 2.0,
) -> Iterator[Sample]:
    """A video as clips of `length_s` seconds, one after another: views of the source, without decoding anything.

    A tail shorter than `min_length_s` is left out. The defaults are Cosmos-Curate's (10 s, 2 s). Fields are those of
    `video_split_shots`, but for what only decoding tells (a clip's frames and their ticks); boundaries are of the kinds
    `start`, `stride` and `end`. All other items of the sample go with every clip. Declined with `no clips` where the
    video is too short, with `no video` where there is none.
    """
    videos = [item for _, item in sample.of("video")]
    if not videos:
        raise Declined("no video", "the sample has no video item")
    found: list[tuple[Any, str, Clip, dict[str, Any]]] = []
    longest = 0.0
    for video in videos:
        info = video_info(video.media)
        duration = info.duration_s
        longest = max(longest, duration)
        assert video.media is not None
        source = source_hash(video.media)
        whole = {"source_duration_s": duration, "source_frames": info.frame_count}
        found += [(video, source, clip, whole) for clip in _clips(duration, length_s, min_length_s)]
    if not found:
        raise Declined("no clips", f"{longest:.3f} s are less than {min_length_s} s")
    yield from children(sample, found, videos)


def _clips(duration_s: float, length_s: float, min_length_s: float) -> Iterator[Clip]:
    start, number = Boundary(0.0, "start"), 1
    while duration_s - start.time_s > length_s + _SAME_S:
        until = Boundary(number * length_s, "stride")
        yield Clip(start, until)
        start, number = until, number + 1
    if duration_s - start.time_s >= min_length_s - _SAME_S:
        yield Clip(start, Boundary(duration_s, "end"))
