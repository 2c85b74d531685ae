"""Markers that stand in a text where a medium belongs: how a text is cut at them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

CHAT_MARKERS: Mapping[str, str] = {"<image>": "image", "<video>": "video", "<audio>": "audio"}
"""Marker → modality, of LLaVA and of ShareGPT as LLaMA-Factory has it."""

CONTEXT_MARKERS: Mapping[str, str] = {"<IMG_CONTEXT>": "image", "<VIDEO_CONTEXT>": "video"}
"""Those of XTuner, inside the text of a message whose media stand before it."""

TOKENS: Mapping[str, str] = {
    "<__dj__image>": "image",
    "<__dj__video>": "video",
    "<__dj__audio>": "audio",
}
"""Those of Data-Juicer."""

END_OF_CHUNK = "<|__dj__eoc|>"
"""The end of a group of media and text that belong together, in Data-Juicer's format."""


def cut(text: str, markers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The text's pieces in order: ("text", piece), or a marker's modality with "". Empty pieces are left out."""
    if not markers:
        if text:
            yield "text", text
        return
    for k, piece in enumerate(_pattern(tuple(markers)).split(text)):
        if k % 2:
            yield markers[piece], ""
        elif piece:
            yield "text", piece


def count(text: str, markers: Mapping[str, str]) -> int:
    """How many markers there are in a text."""
    return sum(text.count(marker) for marker in markers)


@lru_cache(maxsize=32)
def _pattern(markers: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("(" + "|".join(map(re.escape, markers)) + ")")
