"""Samples as tiles of a page: a thumbnail or the beginning of a text, within a budget of bytes."""

from __future__ import annotations

import base64
from typing import Any

from sluice.codec import tiff_page
from sluice.codec.thumbnail import thumbnail
from sluice.errors import SampleError, StorageError
from sluice.sample import Media
from sluice.view import number
from sluice.view.html import Html, element, isolated
from sluice.view.picks import Pick
from sluice.view.source import RunLike

BUDGET_BYTES = 3_400_000
"""Bytes of thumbnails (before base64, which adds a third) that keep a page under 5 MB."""


class Tiles:
    """Makes tiles of a run's samples; each picture is decoded once, and none beyond the budget."""

    def __init__(self, run: RunLike, budget_bytes: int = BUDGET_BYTES) -> None:
        self._run = run
        self._left = self._whole = budget_bytes
        self._made: dict[int, tuple[bytes, int, int] | str] = {}

    @property
    def used_bytes(self) -> int:
        """Bytes of thumbnails made so far."""
        return self._whole - self._left

    def tile(self, pick: Pick, *lines: Any, cls: str = "", words: bool = False) -> Html:
        """A figure of one sample with its key, further caption lines and the beginning of its text."""
        face = self._face(pick)
        captions = [element("span", line, cls="line") for line in lines]
        if words and (text := self._words(pick)) is not None:
            captions.append(element("span", isolated(text), cls="words", title=text))
        captions.append(element("span", isolated(pick.key), cls="key", title=pick.key))
        return element("figure", face, element("figcaption", *captions), cls=f"tile {cls}".strip())

    def _face(self, pick: Pick) -> Html:
        made = self._made.get(pick.ordinal)
        if made is None:
            made = self._made[pick.ordinal] = self._make(pick.ordinal)
        return self._image(made, f"picture of sample {pick.key}")

    def picture(self, media: Media, alt: str, max_side_px: int) -> Html:
        """One picture of a document; where it cannot be shown, why."""
        return self._image(_thumbnail(media, max_side_px), alt)

    def _image(self, made: tuple[bytes, int, int] | str, alt: str) -> Html:
        if isinstance(made, str):
            return element("div", made, cls="no-face")
        data, width, height = made
        if len(data) > self._left:
            return element("div", "left out to keep this page small", cls="no-face")
        self._left -= len(data)
        source = "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
        return element("img", src=source, alt=alt, width=width, height=height, decoding="async")

    def _make(self, ordinal: int) -> tuple[bytes, int, int] | str:
        try:
            encoded = self._run.picture(ordinal)
            if encoded is not None:
                return thumbnail(encoded)
        except SampleError as error:
            return f"no preview: {error.reason}"
        except StorageError:
            return "no preview: the source is out of reach"
        text = self._run.text(ordinal)
        return clipped(text, 160) if text else "no preview"

    def _words(self, pick: Pick) -> str | None:
        """The beginning of the text beside a picture; None where the text is the tile's face itself."""
        if isinstance(self._made.get(pick.ordinal), str):
            return None
        try:
            text = self._run.text(pick.ordinal)
        except (SampleError, StorageError):
            return None
        return clipped(text, 90) if text else None


def _thumbnail(media: Media, max_side_px: int) -> tuple[bytes, int, int] | str:
    try:
        encoded = media.read()
        page = encoded if media.page is None else tiff_page(encoded, media.page)
        return thumbnail(page, max_side_px=max_side_px)
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
