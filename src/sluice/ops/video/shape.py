"""The feature that operators on a clip's size and length share, for those that need no more of its header."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.errors import StorageError, UnreadableError
from sluice.operator import feature
from sluice.ops.video.info import video_info
from sluice.sample import Media

LIBRARIES = ("av",)


@dataclass(frozen=True, slots=True)
class ClipShape:
    """A clip as displayed; `frame_count` is None where only decoding would tell."""

    width_px: int
    height_px: int
    duration_s: float
    frame_count: int | None


@feature(scope="video", version=1, cost="header", libraries=LIBRARIES)
def clip_shape(media: Media | None) -> ClipShape:
    """Size and length of a clip, by the index of its MP4 where that leaves nothing in doubt, else as `video_info`.

    A hundredth of the cost for whole files, as clips are once they are written. That pictures can be decoded is not
    looked at.
    """
    if media is not None and media.start_s is None and media.end_s is None and media.crop is None:
        from sluice.codec.video.index import glance

        try:
            found = glance(media)
        except StorageError as error:
            raise UnreadableError("bytes not readable", str(error)) from error
        if found is not None:
            return ClipShape(found.width_px, found.height_px, found.duration_s, found.frame_count)
    info = video_info(media)
    return ClipShape(info.width_px, info.height_px, info.duration_s, info.frame_count)
