"""Samples as tiles of a page: a thumbnail, frames or the beginning of a text, within a budget of bytes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from sluice.codec import tiff_page
from sluice.codec.thumbnail import thumbnail
from sluice.errors import MissingError, SampleError, StorageError
from sluice.sample import Media
from sluice.view import number
from sluice.view.html import Html, element, isolated
from sluice.view.picks import Pick
from sluice.view.source import RunLike

BUDGET_BYTES = 3_400_000
"""Bytes of thumbnails (before base64, which adds a third) that keep a page under 5 MB."""


POSTERS, POSTER_PX = 3, 144
"""Frames shown of a video, and the longer side of each."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """A thumbnail; `span_s` is where a video begins and ends, in seconds of its source."""

    data: bytes
    width_px: int
    height_px: int
    span_s: tuple[float, float] | None = None


class Tiles:
    """Makes tiles of a run's samples; each picture is decoded once, and none beyond the budget.

    A video shows three of its frames, at 1/6, 1/2 and 5/6 of it, and where in its source it begins and ends.
    """

    def __init__(self, run: RunLike, budget_bytes: int = BUDGET_BYTES) -> None:
        self._run = run
        self._left = self._whole = budget_bytes
        self._made: dict[int, _Picture | str] = {}

    @property
    def used_bytes(self) -> int:
        """Bytes of thumbnails made so far."""
        return self._whole - self._left

    def tile(self, pick: Pick, *lines: Any, cls: str = "", words: bool = False) -> Html:
        """A figure of one sample with its key, further caption lines and the beginning of its text."""
        made = self._made.get(pick.ordinal)
        if made is None:
            made = self._made[pick.ordinal] = self._make(pick)
        face = self._image(made, f"{'frames' if pick.is_video else 'picture'} of sample {pick.key}")
        captions = [element("span", line, cls="line") for line in lines]
        if isinstance(made, _Picture) and made.span_s is not None:
            captions.append(element("span", number.span(*made.span_s), cls="line span"))
        if words and (text := self._words(pick)) is not None:
            captions.append(element("span", isolated(text), cls="words", title=text))
        captions.append(element("span", isolated(pick.key), cls="key", title=pick.key))
        classes = ("tile", "clip" if pick.is_video else "", cls)
        return element("figure", face, element("figcaption", *captions), cls=" ".join(filter(None, classes)))

    def picture(self, media: Media, alt: str, max_side_px: int) -> Html:
        """One picture of a document; where it cannot be shown, why."""
        return self._image(_thumbnail(media, max_side_px), alt)

    def _image(self, made: _Picture | str, alt: str) -> Html:
        if isinstance(made, str):
            return element("div", made, cls="no-face")
        if len(made.data) > self._left:
            return element("div", "left out to keep this page small", cls="no-face")
        self._left -= len(made.data)
        source = "data:image/jpeg;base64," + base64.b64encode(made.data).decode("ascii")
        size = {"width": made.width_px, "height": made.height_px}
        return element("img", src=source, alt=alt, **size, decoding="async")

    def _make(self, pick: Pick) -> _Picture | str:
        try:
            if pick.is_video and (found := self._frames(pick.ordinal)) is not None:
                return found
            encoded = self._run.picture(pick.ordinal)
            if encoded is not None:
                return _Picture(*thumbnail(encoded))
        except SampleError as error:
            return f"no preview: {error.reason}"
        except StorageError:
            return "no preview: the source is out of reach"
        except MissingError as error:
            return f"no preview: {error}"
        text = self._run.text(pick.ordinal)
        return clipped(text, 160) if text else "no preview"

    def _frames(self, ordinal: int) -> _Picture | None:
        """Frames of the sample's first video."""
        from sluice.codec.video.container import with_decoder_threads
        from sluice.codec.video.preview import posters

        items = self._run.document(ordinal)
        media = next((item.media for item in items if item.modality == "video" and item.media), None)
        if media is None:
            return None
        with with_decoder_threads(0):  # the workers are done
            made = posters(media, count=POSTERS, max_side_px=POSTER_PX)
        return _Picture(made.jpeg, made.width_px, made.height_px, (made.start_s, made.end_s))

    def _words(self, pick: Pick) -> str | None:
        """The beginning of the text beside a picture; None where the text is the tile's face itself."""
        if isinstance(self._made.get(pick.ordinal), str):
            return None
        try:
            text = self._run.text(pick.ordinal)
        except (SampleError, StorageError):
            return None
        return clipped(text, 90) if text else None


def _thumbnail(media: Media, max_side_px: int) -> _Picture | str:
    try:
        encoded = media.read()
        page = encoded if media.page is None else tiff_page(encoded, media.page)
        return _Picture(*thumbnail(page, max_side_px=max_side_px))
    except SampleError as error:
        return f"no preview: {error.reason}"
    except StorageError:
        return "no preview: the source is out of reach"


def clipped(text: str, most: int) -> str:
    """The text on one line, cut after `most` characters with an ellipsis."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def shown_value(value: Any) -> str:
    """A measured value for a caption, without its unit; the first three of a list."""
    if value is None:
        return "no value"
    if isinstance(value, list):
        return ", ".join(shown_value(v) for v in value[:3]) + (" …" if len(value) > 3 else "")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clipped(str(value), 40)
    return number.exact(value)
