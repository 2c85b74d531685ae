"""The feature that operators on a clip's header share: its size, length and number of frames."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from sluice.errors import UnreadableError
from sluice.operator import feature
from sluice.sample import Media

if TYPE_CHECKING:
    from sluice.codec.video import VideoInfo

LIBRARIES = ("av",)
_SOURCES = 64
"""Sources whose headers are remembered: clips of one follow each other."""

_probed: OrderedDict[tuple[str, int | None, int | None], Any] = OrderedDict()
_probing = Lock()
"""Held while a source is probed: threads that ask for clips of one wait for one answer."""


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """A clip as displayed: `width_px` and `height_px` (rotation, square pixels and crop applied), `duration_s`, `fps`.

    `frame_count` is None where only decoding would tell, as of a part of a source. `source` tells of the whole.
    """

    width_px: int
    height_px: int
    duration_s: float
    fps: float
    frame_count: int | None
    source: VideoInfo


@feature(scope="video", version=1, cost="header", libraries=LIBRARIES)
def video_info(media: Media | None) -> ClipInfo:
    """What a clip's container says, for its span and crop; a source is probed once, not once a clip."""
    if media is None:
        raise UnreadableError("no bytes", "the item has no media")
    source = _source(media)
    width, height = source.shown_size(media.crop)
    if media.start_s is None and media.end_s is None:
        return ClipInfo(width, height, source.duration_s, source.fps, source.frame_count, source)
    end = source.duration_s if media.end_s is None else min(media.end_s, source.duration_s)
    duration = max(0.0, end - (media.start_s or 0.0))
    return ClipInfo(width, height, duration, source.fps, None, source)


def _source(media: Media) -> VideoInfo:
    from sluice.codec.video import probe

    whole = replace(media, start_s=None, end_s=None, crop=None)
    if not media.uri:
        return probe(whole)
    key = (media.uri, media.offset, media.size)
    with _probing:
        if key in _probed:
            _probed.move_to_end(key)
        else:
            _probed[key] = probe(whole)
            while len(_probed) > _SOURCES:
                _probed.popitem(last=False)
        found: VideoInfo = _probed[key]
    return found
