"""What a model is asked about a clip as a whole: a text, and frames from its beginning to its end."""

from __future__ import annotations

from typing import Any

from sluice.codec.thumbnail import encode_jpeg
from sluice.errors import UnreadableError
from sluice.model.endpoint import picture_part, text_part
from sluice.model.remote import Question
from sluice.ops.video.windows import Sampling, Shown, clip_times, shown
from sluice.sample import Media

JPEG_QUALITY = 90


def message(text: str, seen: Shown) -> list[dict[str, Any]]:
    """A text and the frames that are shown with it, as parts of a message."""
    pictures = (picture_part(encode_jpeg(rgb, quality=JPEG_QUALITY), "jpeg") for rgb in seen.pictures)
    return [text_part(text), *pictures]


def about_clip(text: str, sampling: Sampling, media: Media | None) -> Question:
    """A question about a clip. Raises UnreadableError."""
    times = clip_times(media)
    if media is None or not len(times):
        raise UnreadableError("no frames", "no frame lies in the span")
    seen = shown(media, times, sampling)
    return Question({"frames": seen.digest}, lambda: message(text, seen))
