"""How does a document become captioned pictures?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from sluice.errors import Declined
from sluice.operator import splitter
from sluice.operator.pairing import nearest_text
from sluice.ops.interleaved.captions import FIELDS, is_caption
from sluice.ops.interleaved.places import extension, is_placed
from sluice.ops.text.content import text_of
from sluice.sample import Item, Sample


@splitter(version=1)
def sample_split_pairs(
    sample: Sample, *, text: Literal["nearest", "caption"] = "nearest"
) -> Iterator[Sample]:
    """Each image of a document with its text, as a captioned picture of its own: the items `jpg` and `txt`.

    `text: nearest` takes the nearest text that is not blank, counted in items, the earlier of two (as operators
    on pairs do); several images may share one. `text: caption` takes caption-like text only: of the image's
    fields `caption`, `alt` and `title` the first that reads like one, else the text directly after the image,
    else the one directly before it. One paragraph of 3 to 50 words and at least 6 characters reads like a
    caption, and up to 256 words where it is said to be one, by its field or by an opening such as `Figure 3:`
    (lower bounds: DataComp's basic filter; 256: Conceptual 12M; 50: ours). A neighbouring text is the caption
    of one image only, the first that it stands beside. Texts are taken as they are.

    `text_from`, among the fields of the child's text, names its origin: the text's name in the document
    (`3.txt`) or the image's field (`alt`). The image keeps its fields; the document's fields, its metadata and
    its sidecars go with every child. Bytes of images are not read. An image without a text, or without bytes of
    its own (a mere reference), makes no child. Declined with `no pairs` where none does.
    """
    items = [item for item in sample.items if is_placed(item)]
    apart = tuple(
        item for item in sample.items if not is_placed(item) and (item.media or item.text is not None)
    )
    texts = _Texts(items)
    found = 0
    for at, image in enumerate(items):
        if image.modality != "image" or image.media is None:
            continue
        words = texts.nearest(at) if text == "nearest" else texts.caption(at)
        if words is None:
            continue
        found += 1
        yield replace(sample, items=(replace(image, name=extension(image)), words, *apart))
    if not found:
        raise Declined("no pairs", _why(items))


class _Texts:
    """The texts of a document, by their places among its items."""

    def __init__(self, items: list[Item]) -> None:
        self._items = items
        self._read = {at: text_of(item) for at, item in enumerate(items) if item.modality == "text"}
        self._places = [at for at, text in self._read.items() if text.strip()]
        self._taken: set[int] = set()

    def nearest(self, image: int) -> Item | None:
        """The text nearest to an image."""
        return self._at(self._places[nearest_text(image, self._places)]) if self._places else None

    def caption(self, image: int) -> Item | None:
        """The caption of an image: of its fields, else a neighbour that is nobody's yet."""
        fields = self._items[image].fields
        for name in FIELDS:
            said = fields.get(name)
            if isinstance(said, str) and is_caption(said, said=True):
                return Item("text", "text/plain", "txt", text=said.strip(), fields={"text_from": name})
        for at in (image + 1, image - 1):
            if at in self._read and at not in self._taken and is_caption(self._read[at], said=False):
                self._taken.add(at)
                return self._at(at)
        return None

    def _at(self, place: int) -> Item:
        item = self._items[place]
        return replace(item, name="txt", fields={**item.fields, "text_from": item.name or str(place)})


def _why(items: list[Item]) -> str:
    images = [item for item in items if item.modality == "image"]
    references = sum(item.media is None for item in images)
    return f"{len(images)} images, {references} of them without bytes; {len(items) - len(images)} other items"
