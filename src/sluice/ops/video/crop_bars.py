"""How does a video lose its black bars?"""

from __future__ import annotations

from dataclasses import replace

from sluice.codec.video.clip import MIN_CROP_PX
from sluice.errors import Declined
from sluice.operator import Span, mapper
from sluice.ops.video.bar import video_bar
from sluice.sample import Item


@mapper(version=1, cost="decode")
def video_crop_bars(item: Item, video_bars: Span) -> Item:
    """The video without the bars that `video_bar` finds: a cropped view, nothing is decoded again or encoded.

    The crop happens in the one encode at writing, and what is left keeps its own aspect ratio. A crop that the view
    has already is cut further, never widened; a video without bars stays as it is. Declined, and left whole, where
    every frame is dark (`all dark`), where the clip is shorter than the grid (`no frames`), and with `crop too small`
    where less than 64 pixels of width or height would be left.
    """
    assert item.media is not None
    bar, info = video_bar(video_bars), video_bars.info
    left, top, wide, high = item.media.crop or (0, 0, info.width_px, info.height_px)
    right, bottom = (
        min(left + wide, info.width_px - bar.right_px),
        min(top + high, info.height_px - bar.bottom_px),
    )
    left, top = max(left, bar.left_px), max(top, bar.top_px)
    crop = (left, top, right - left, bottom - top)
    if min(crop[2:]) < MIN_CROP_PX:
        raise Declined("crop too small", f"{max(0, crop[2])} x {max(0, crop[3])} pixels would be left")
    if crop == (item.media.crop or (0, 0, info.width_px, info.height_px)):
        return item
    return replace(item, media=replace(item.media, crop=crop))
