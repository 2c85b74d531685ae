"""How does a video lose its black bars?"""

from __future__ import annotations

from dataclasses import replace

from sluice.codec.video.clip import MIN_CROP_PX
from sluice.errors import Declined
from sluice.operator import Span, mapper
from sluice.ops.video.bar import bar_of
from sluice.sample import Item


@mapper(version=2, cost="decode")
def video_crop_bars(item: Item, video_bars: Span) -> Item:
    """The video without the bars that `video_bar` finds: a cropped view, nothing is encoded.

    The crop happens in the one encode at writing, and what is left keeps its own aspect ratio. A crop that the view
    has already is cut further, never widened; a video without bars stays as it is. Declined, and left whole, where
    every frame is dark (`all dark`), where the clip is shorter than the grid (`no frames`), and with `crop too small`
    where less than 64 pixels of width or height would be left.

    Measures after it look at what the crop shows. A source's tracks say nothing of that: the spans of cropped clips
    are decoded once more to measure them.
    """
    media = item.media
    assert media is not None
    left, top, wide, high = media.crop or (0, 0, *video_bars.info.turned_size)
    bar = bar_of(video_bars, wide, high)
    if not any(bar):
        return item
    crop = (
        left + bar.left_px,
        top + bar.top_px,
        wide - bar.left_px - bar.right_px,
        high - bar.top_px - bar.bottom_px,
    )
    if min(crop[2:]) < MIN_CROP_PX:
        raise Declined("crop too small", f"{max(0, crop[2])} x {max(0, crop[3])} pixels would be left")
    return replace(item, media=replace(media, crop=crop))
