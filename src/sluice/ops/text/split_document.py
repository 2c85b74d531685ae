"""How does a long text become chunks of a bounded size?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from pydantic import Field as Setting

from sluice.errors import Declined
from sluice.operator import splitter
from sluice.ops.text.boundaries import spans
from sluice.ops.text.content import text_of
from sluice.sample import MEDIA_MODALITIES, Sample

_WORD_START = re.compile(r"(?<!\S)\S")


@splitter(version=1, example="One sentence. " * 200)
def text_split_document(
    sample: Sample,
    *,
    max_characters: Annotated[int, Setting(ge=1)] = 2000,
    overlap: Annotated[float, Setting(ge=0, le=0.5)] = 0.0,
) -> Iterator[Sample]:
    """A document's texts in chunks of at most `max_characters` code points, each a sample of its own.

    A chunk ends where the last paragraph ends that fits, else the last line, sentence or word; an end counts in
    the second half of what fits only, so that no chunk but a text's last is shorter than half; where there is
    none, it is cut at its full length. White space stays at the end of the chunk before it: without overlap the
    chunks of a text, joined, are the text. `overlap` is the share of `max_characters` that a chunk repeats of
    what stands before it, at most, from a word's beginning.

    A chunk never spans two texts of a sample. Items that are neither text nor media (metadata, sidecars) and
    fields go with every chunk. The default of 2000 is a choice of ours, some 500 tokens of English. Declined
    with `no text` where all is blank and with `holds media` where there are images, sounds or videos.
    """
    if any(item.modality in MEDIA_MODALITIES for item in sample.items):
        raise Declined("holds media", "this splits documents of text alone")
    texts = [(at, item, text_of(item)) for at, item in sample.of("text")]
    if not any(text.strip() for _, _, text in texts):
        raise Declined("no text", "the document is blank")
    repeated = int(max_characters * overlap)
    for at, item, text in texts:
        before = [other for other in sample.items[:at] if other.modality != "text"]
        after = [other for other in sample.items[at + 1 :] if other.modality != "text"]
        for start, end in spans(text, max_characters - repeated):
            chunk = text[_word_start(text, start, repeated) : end]
            own = replace(item, text=chunk, media=None)
            yield replace(sample, items=(*before, own, *after))


def _word_start(text: str, start: int, most: int) -> int:
    """The first beginning of a word at most `most` code points before `start`, else `start`."""
    if not most or not start:
        return start
    low = max(0, start - most)
    found = _WORD_START.search(text, low, start)
    return found.start() if found else start
