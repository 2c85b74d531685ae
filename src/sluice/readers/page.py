"""Takes a web page apart: its texts and pictures in document order, all that is visible or the main content."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sluice.errors import MissingError, ReadError
from sluice.operator.extra import imported
from sluice.readers.markup import EXTRA, Element
from sluice.readers.page_pictures import address_of, is_pixel

Content = Literal["main", "all"]
"""How much of a page is wanted."""

MOST_BLOCKS = 200_000
"""Texts and pictures of one page; a page with more fails."""

_BLOCK_NAMES = (
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li listing main menu nav ol p pre section summary table"
    " tbody td tfoot th thead tr ul xmp"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
"""Elements that begin a text of their own; others stand within a line."""

_UNSEEN_NAMES = (
    "applet audio button canvas datalist embed frameset head iframe math noembed noframes noscript object script"
    " select style svg template textarea title video"
)
_UNSEEN = frozenset(_UNSEEN_NAMES.split())
"""Elements whose contents are no text of the page: code, controls, drawings, what stands in for a player."""

_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_AS_WRITTEN = frozenset({"pre", "listing", "xmp"})
_NEAR = 2  # texts before and after a picture in which main content is looked for


@dataclass(frozen=True, slots=True)
class Block:
    """A text of a page, or a picture: its address as the page gives it, alternative text and caption.

    A text that is (part of) a figure's caption has that caption too.
    `at` is where it stands in the tree: an element and, of texts, whether its `text` or its `tail` begins it.
    """

    text: str = ""
    address: str = ""
    alt: str = ""
    caption: str = ""
    at: tuple[Element, str] = field(default=(None, ""), compare=False, repr=False)

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture."""
        return bool(self.address)


def blocks(root: Element, content: Content) -> list[Block]:
    """The texts and pictures of a page in document order; of main content as trafilatura finds it, or all.

    A text is a paragraph, heading, list item, table cell or the like, its white space collapsed (not so in
    `pre`). What is hidden (`hidden`, `display: none`), scripts, controls and SVG drawings are left out, and so
    are pictures of 1 x 1 pixel. May change the tree. ReadError where nothing is left.
    """
    etree = imported("lxml.etree", EXTRA)
    body = root.find(".//body")
    found = _Walk().of(etree.iterwalk(root if body is None else body, events=("start", "end")))
    if content == "main" and any(not block.is_picture for block in found):
        found = _main(root, found)
    if not found:
        fix = "`content: all` takes all that is visible" if content == "main" else ""
        raise ReadError(
            "no content", "the page has neither text nor pictures" if not fix else "none found", fix=fix
        )
    return found


class _Walk:
    """Gathers blocks from the events of a tree's elements; no recursion, since pages may be nested deeply."""

    def __init__(self) -> None:
        self.found: list[Block] = []
        self._pieces: list[str] = []
        self._at: tuple[Element, str] | None = None
        self._as_written = 0
        self._figures: list[int] = []
        self._caption_from: int | None = None

    def of(self, events: Iterable[tuple[str, Element]]) -> list[Block]:
        """All blocks of these events."""
        unseen: Element = None
        for event, element in events:
            if event == "end":
                if unseen is None:
                    self._end(element.tag)
                elif element is unseen:
                    unseen = None
                if unseen is None:
                    self._add(element, "tail")
            elif unseen is None:
                if element.tag == "noscript":
                    self._fallback(element)
                if _is_unseen(element):
                    unseen = element
                else:
                    self._begin(element)
        self._flush()
        return [block for block in self.found if block.text or block.address]

    def _begin(self, element: Element) -> None:
        tag = element.tag
        if tag in _BLOCKS:
            self._flush()
        if tag in _AS_WRITTEN:
            self._as_written += 1
        elif tag == "br":
            self._break()
        elif tag == "img":
            self._picture(element)
        elif tag == "figure":
            self._figures.append(len(self.found))
        elif tag == "figcaption":
            self._caption_from = len(self.found)
        self._add(element, "text")

    def _end(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._flush()
        if tag in _AS_WRITTEN:
            self._as_written -= 1
        elif tag == "figcaption" and self._caption_from is not None:
            self._caption()
        elif tag == "figure":
            self._figures.pop()

    def _add(self, element: Element, part: str) -> None:
        piece = getattr(element, part)
        if piece:
            if self._at is None and not piece.isspace():
                self._at = element, part
            self._pieces.append(piece if self._as_written else " ".join(f"|{piece}|".split())[1:-1])

    def _break(self) -> None:
        """A line break; a second one ends the paragraph, as pages without paragraphs have it."""
        if not self._as_written and "".join(self._pieces[-2:]).rstrip(" ").endswith("\n"):
            self._flush()
        elif self._at is not None:
            self._pieces.append("\n")

    def _flush(self) -> None:
        text = "".join(self._pieces)
        if not self._as_written:
            text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
        text = text.strip() if not self._as_written else text.strip("\n").rstrip()
        if text and self._at is not None:
            self._keep(Block(text, at=self._at))
        self._pieces, self._at = [], None

    def _keep(self, block: Block) -> None:
        if len(self.found) >= MOST_BLOCKS:
            raise ReadError("page too large", f"more than {MOST_BLOCKS:,} texts and pictures")
        self.found.append(block)

    def _picture(self, element: Element) -> None:
        if not is_pixel(element):
            self._flush()
            alt = " ".join((element.get("alt") or "").split())
            self._keep(Block(address=address_of(element), alt=alt, at=(element, "")))

    def _fallback(self, element: Element) -> None:
        """Pictures for readers without scripts: they take the place of one that a script would have loaded."""
        before = self.found[-1] if self.found and self._at is None else None
        for image in element.iter("img"):
            if before is None or before.text:
                self._picture(image)
            elif not before.address and not is_pixel(image):
                alt = before.alt or " ".join((image.get("alt") or "").split())
                self.found[-1] = replace(before, address=address_of(image), alt=alt)
            return

    def _caption(self) -> None:
        """What a figure's caption says belongs to the figure's pictures, before and after it."""
        first, self._caption_from = self._caption_from or 0, None
        texts = [block.text for block in self.found[first:] if block.text]
        if self._figures:
            for k in range(self._figures[-1], len(self.found)):
                if not self.found[k].caption and (not self.found[k].text or k >= first):
                    self.found[k] = replace(self.found[k], caption=" ".join(texts))


def _is_unseen(element: Element) -> bool:
    if element.tag in _UNSEEN or not isinstance(element.tag, str) or element.get("hidden") is not None:
        return True
    return _HIDDEN.search(element.get("style") or "") is not None


_ALPHABETS = (0x12000, 0x13000, 0x14400)  # cuneiform, Egyptian and Anatolian hieroglyphs
_LETTERS = 500
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # HTML may hold them, lxml sets none
_MARKED_PICTURE = "https://picture.invalid/{}.jpg"  # a name that never resolves (RFC 6761)


def _main(root: Element, found: Sequence[Block]) -> list[Block]:
    """The blocks that are main content.

    trafilatura returns text, not places. So each text of the tree begins with two letters of a script that the
    page does not use, its number, and whatever numbers come back are main content. So is a picture that comes
    back itself or has main content within two texts before and after it, and a picture's caption with it.
    """
    whole = "".join(block.text for block in found)
    first = next(
        (a for a in _ALPHABETS if not any(a <= ord(c) < a + _LETTERS for c in set(whole))), _ALPHABETS[0]
    )
    for number, block in enumerate(found):
        _mark(block, number, first)
    text, pictures = _extracted(root)
    kept = _numbers(text, first)
    kept |= {
        n for n, block in enumerate(found) if block.is_picture and (n in pictures or _amid(found, n, kept))
    }
    captions = {found[n].caption for n in kept if found[n].is_picture} - {""}
    return [block for n, block in enumerate(found) if n in kept or block.caption in captions]


def _mark(block: Block, number: int, first: int) -> None:
    element, part = block.at
    if block.is_picture:
        for name in list(element.attrib):
            del element.attrib[name]
        element.set("src", _MARKED_PICTURE.format(number))
        return
    text = getattr(element, part)
    blank = len(text) - len(text.lstrip())
    code = chr(first + number // _LETTERS) + chr(first + number % _LETTERS)
    setattr(element, part, _NOT_IN_XML.sub(" ", text[:blank] + code + text[blank:]))


def _numbers(text: str, first: int) -> set[int]:
    last = first + _LETTERS - 1
    pairs = re.findall(f"([{chr(first)}-{chr(last)}])([{chr(first)}-{chr(last)}])", text)
    return {(ord(high) - first) * _LETTERS + ord(low) - first for high, low in pairs}


def _extracted(root: Element) -> tuple[str, set[int]]:
    """The text of what trafilatura takes for main content, and the numbers of its pictures."""
    trafilatura = imported("trafilatura", EXTRA)
    logging.getLogger("trafilatura").addHandler(logging.NullHandler())  # else it speaks on standard error
    try:
        made = trafilatura.bare_extraction(
            root, output_format="python", include_images=True, include_comments=False, favor_recall=True
        )
    except MissingError:
        raise
    except Exception as error:  # whatever a hostile page makes of the library is that page's failure
        raise ReadError("main content not found", f"{type(error).__name__}: {error}") from error
    if made is None or made.body is None:
        return "", set()
    sources = (graphic.get("src") or "" for graphic in made.body.iter("graphic"))
    numbers = (
        re.fullmatch(re.escape(_MARKED_PICTURE).replace(r"\{\}", r"(\d+)"), source) for source in sources
    )
    return "".join(made.body.itertext()), {int(number[1]) for number in numbers if number}


def _amid(found: Sequence[Block], number: int, kept: set[int]) -> bool:
    before, after = range(number - 1, -1, -1), range(number + 1, len(found))
    return _soon(found, before, kept) and _soon(found, after, kept)


def _soon(found: Sequence[Block], places: Iterable[int], kept: set[int]) -> bool:
    looked_at = 0
    for place in places:
        if place in kept:
            return True
        looked_at += bool(found[place].text)
        if looked_at == _NEAR:
            return False
    return False
