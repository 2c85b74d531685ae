"""How does a long document become chunks that fit into a model's context, images with their texts?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Annotated

from pydantic import Field as Setting

from sluice.errors import Declined
from sluice.model.files import Model, about, digest
from sluice.operator import splitter
from sluice.operator.pairing import nearest_text
from sluice.ops.interleaved.places import is_placed, placed
from sluice.ops.interleaved.tokens import Estimate, Tokenizer, Tokens, piece_end
from sluice.ops.text.content import text_of
from sluice.sample import Item, Sample

TokenizerName = Annotated[
    str | None,
    Model(lambda name: digest(name) if name else "", lambda name: about(name) if name else ""),
]


@splitter(version=1, libraries=("tokenizers",), example="One sentence. " * 2000)
class sample_split_chunks:  # noqa: N801 - an operator's name is its class's
    """A document in chunks of at most `max_tokens` tokens, in its order, no image parted from its text.

    An image takes `tokens_per_image` tokens and belongs to the nearest text, the earlier of two. A text with its
    images is packed as one, as many as fit into a chunk. Where it does not fit into one by itself, its text is cut
    after the last paragraph, line, sentence or word that fits, each piece begins a chunk, and images stay with the
    nearest end of the text. Every item is in one chunk, cut texts in several, whose texts joined are the document's.
    Items are named by their places in the chunk (`0.txt`, `1.jpg`, …); metadata, sidecars and fields go with
    every chunk. Other media take no tokens and go with the nearest text, too. Images without a text are packed
    one by one.

    `tokenizer` is a `tokenizer.json`, or the folder or name of a model that has one; without one tokens are
    estimated, one for every four bytes of UTF-8. Tokens are counted text by text, without special ones. The
    defaults are those of Idefics2 (Laurençon et al., 2024): sequences of 2048 tokens, of which an image takes
    64, as in Flamingo; LLaVA-1.5 takes 576 an image, MM1 sequences of 4096. `max_images` bounds the images of
    a chunk.

    A chunk exceeds these bounds only where no cut would help: the images on one side of a text alone do, or a text
    between images is too short to be cut; it then holds these images and that text or a piece of it. Declined with
    `image over budget` where one image alone does, and with `no content` where there is nothing to split.
    """

    def __init__(
        self,
        *,
        max_tokens: Annotated[int, Setting(ge=1)] = 2048,
        tokens_per_image: Annotated[int, Setting(ge=0)] = 64,
        tokenizer: TokenizerName = None,
        max_images: Annotated[int, Setting(ge=1)] | None = None,
    ) -> None:
        self._bounds = _Bounds(max_tokens, tokens_per_image, max_images)
        self._tokenizer = tokenizer

    def open(self) -> None:
        """Load the tokenizer."""
        self._tokens: Tokens = Tokenizer(self._tokenizer) if self._tokenizer else Estimate()

    def __call__(self, sample: Sample) -> Iterator[Sample]:
        """The chunks of one document."""
        items = [item for item in sample.items if is_placed(item)]
        apart = tuple(item for item in sample.items if not is_placed(item))
        if not items:
            raise Declined("no content", "the document has neither texts nor media")
        bounds = self._bounds
        if bounds.tokens_per_image > bounds.max_tokens and any(item.modality == "image" for item in items):
            takes = f"an image takes {bounds.tokens_per_image} tokens, a chunk holds {bounds.max_tokens}"
            raise Declined("image over budget", takes)
        pieces = (piece for unit in _units(items) for piece in _pieces(unit, bounds, self._tokens))
        for chunk in _packed(pieces, bounds):
            yield replace(sample, items=(*apart, *placed(chunk)))


@dataclass(frozen=True, slots=True)
class _Bounds:
    max_tokens: int
    tokens_per_image: int
    max_images: int | None

    def hold(self, tokens: int, images: int) -> bool:
        """Whether a chunk holds so many tokens of text and so many images."""
        few = self.max_images is None or images <= self.max_images
        return few and tokens + images * self.tokens_per_image <= self.max_tokens

    def beside(self, images: int) -> int:
        """Tokens of text that a chunk has room for beside so many images; 0 where they do not fit themselves."""
        left = self.max_tokens - images * self.tokens_per_image
        return max(0, left) if self.hold(0, images) else 0


@dataclass(frozen=True, slots=True)
class _Unit:
    """A text with what belongs to it, or an item that belongs to no text."""

    before: tuple[Item, ...]
    text: Item | None
    after: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Items that stay together; `begins` says that they open a chunk."""

    items: tuple[Item, ...]
    tokens: int
    images: int
    begins: bool = False


def _units(items: Sequence[Item]) -> Iterator[_Unit]:
    texts = [at for at, item in enumerate(items) if item.modality == "text"]
    if not texts:
        yield from (_Unit((item,), None, ()) for item in items)
        return
    owners = [texts[nearest_text(at, texts)] for at in range(len(items))]
    for text, places in groupby(range(len(items)), key=owners.__getitem__):
        own = list(places)
        before, after = items[own[0] : text], items[text + 1 : own[-1] + 1]
        yield _Unit(tuple(before), items[text], tuple(after))


def _pieces(unit: _Unit, bounds: _Bounds, tokens: Tokens) -> Iterator[_Piece]:
    """The unit as one piece where a chunk holds it, else its text in several, the first and last with its images."""
    if unit.text is None:
        yield _Piece(unit.before, 0, _images(unit.before))
        return
    text = text_of(unit.text)
    cuts = list(_cuts(text, _images(unit.before), _images(unit.after), bounds, tokens))
    for k, (start, end) in enumerate(cuts):
        whole = len(cuts) == 1
        own = unit.text if whole else replace(unit.text, text=text[start:end], media=None)
        before = unit.before if k == 0 else ()
        after = unit.after if k == len(cuts) - 1 else ()
        images = _images(before) + _images(after)
        yield _Piece((*before, own, *after), tokens.count(text[start:end]), images, begins=not whole)


def _cuts(text: str, before: int, after: int, bounds: _Bounds, tokens: Tokens) -> Iterator[tuple[int, int]]:
    """Where the pieces of a text start and end that has so many images before and after it.

    Images that no cut makes fit are not counted.
    """
    before = before if bounds.beside(before) else 0
    after = after if bounds.beside(after) else 0
    start = 0
    while True:
        last = bounds.beside(before + after)
        if start == len(text) or (last and tokens.reach(text, start, last) == len(text)):
            break
        end = piece_end(tokens, text, start, bounds.beside(before))
        if end == len(text):  # all of the rest, and no room for the images after it: they get half of it
            left = tokens.count(text[start:])
            end = piece_end(tokens, text, start, max(1, (left + 1) // 2, left - bounds.beside(after)))
            if end == len(text):
                break
        yield start, end
        start, before = end, 0
    yield start, len(text)


def _packed(pieces: Iterable[_Piece], bounds: _Bounds) -> Iterator[list[Item]]:
    """The items of each chunk: pieces in their order, as many as a chunk holds."""
    chunk: list[Item] = []
    tokens = images = 0
    for piece in pieces:
        fits = bounds.hold(tokens + piece.tokens, images + piece.images)
        if chunk and (piece.begins or not fits):
            yield chunk
            chunk, tokens, images = [], 0, 0
        chunk.extend(piece.items)
        tokens, images = tokens + piece.tokens, images + piece.images
    yield chunk


def _images(items: Iterable[Item]) -> int:
    return sum(item.modality == "image" for item in items)
