"""Documents as people read them: texts and pictures in their order, what was dropped shown in place, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sluice.errors import SampleError, StorageError
from sluice.sample import Item
from sluice.view import number
from sluice.view.document_picks import Document, Lost, Shelf
from sluice.view.html import Html, element, isolated, join
from sluice.view.source import FieldInfo, RunLike
from sluice.view.tiles import Tiles, clipped, shown_value

BUDGET_BYTES = 1_200_000
"""Bytes of pictures in documents: a third of what a page may have."""
PICTURE_PX = 280
"""The longer side of a picture in a document."""
MOST_ITEMS, FIRST, LAST = 12, 5, 3
"""A longer document is shown by its first and last items, besides what it lost."""
MOST_LOST = 24
"""Items shown of those that one document lost; the rest are counted."""
_HEAD, _TAIL, _LEAST_CUT = 480, 160, 240
"""Characters of a long text that are shown, and the least that is worth leaving out."""


def section(run: RunLike, tiles: Tiles, shelves: Sequence[Shelf]) -> Html:
    """The documents of all lots."""
    reader = _Reader(run, tiles)
    return join(*(_shelf(shelf, reader) for shelf in shelves))


def _shelf(shelf: Shelf, reader: _Reader) -> Html:
    shown = len(shelf.documents)
    more = f" Shown: {shown}, drawn by lot." if shown < shelf.total else ""
    noun = "document" if shelf.total == 1 else "documents"
    head = element(
        "h3", shelf.title, element("small", f" {number.count(shelf.total)} {noun}.{more}"), cls="shelf"
    )
    articles = (reader.article(document) for document in shelf.documents)
    return join(head, element("div", *articles, cls="documents"))


class _Reader:
    """Lays documents out; knows what rules look at and what fields mean."""

    def __init__(self, run: RunLike, tiles: Tiles) -> None:
        self._run, self._tiles = run, tiles
        self._fields = {rule.name: rule.fields for rule in run.rules}
        self._texts = {rule.name: rule.text for rule in run.rules if rule.text != rule.name}

    def article(self, document: Document) -> Html:
        """One document under its key and its fate."""
        head = element("h4", isolated(document.key))
        try:
            items = self._run.document(document.ordinal)
            body = self._body(document, items)
            told = self._told(document, items)
        except (SampleError, StorageError) as error:
            why = error.reason if isinstance(error, SampleError) else "the source is out of reach"
            body, told = element("p", f"no preview: {why}", cls="note"), self._told(document, ())
        return element("article", head, told, body, cls=f"document {document.fate}")

    def _told(self, document: Document, items: Sequence[Item]) -> Html:
        """What became of the document, in a sentence."""
        lost = len(document.lost)
        content = sum(item.modality != "metadata" for item in items)
        of = (
            f"{number.count(lost)} of {number.count(content)} items"
            if content
            else f"{number.count(lost)} items"
        )
        if document.fate == "kept":
            sentence = join("Kept without ", of, ": ", _by_rule(document), ".") if lost else _whole(items)
        else:
            why = [element("b", isolated(document.rule)), *self._text_of(document.rule)]
            why += self._of_the_whole(document)
            if document.reason:
                why.append(join(document.reason))
            if document.twin:
                why.append(join("of ", isolated(document.twin)))
            sentence = join(
                "Duplicate by " if document.fate == "duplicate" else "Dropped by ", _listed(why), "."
            )
            if lost:
                sentence = join(sentence, f" It had lost {of} before.")
        return element("p", sentence, cls="effect")

    def _text_of(self, rule: str) -> list[Html]:
        return [element("code", isolated(self._texts[rule]))] if rule in self._texts else []

    def _of_the_whole(self, document: Document) -> list[Html]:
        """The values of the document as a whole that its rule looks at."""
        names = [name for name in self._fields.get(document.rule, ()) if not self._modality(name)]
        return [self._value(name, document.values[name]) for name in names if name in document.values]

    def _body(self, document: Document, items: Sequence[Item]) -> Html:
        content = [at for at, item in enumerate(items) if item.modality != "metadata"]
        places = shown_places(len(content), [k for k, at in enumerate(content) if at in document.lost])
        parts: list[Html] = []
        row: list[Html] = []
        before = -1
        for k in places:
            at, item = content[k], items[content[k]]
            if row and (k > before + 1 or not _is_picture(item)):
                parts.append(element("div", *row, cls="row"))
                row = []
            if k > before + 1:
                parts.append(_gap(document, items, content[before + 1 : k]))
            if _is_picture(item):
                row.append(self._figure(document, at, item))
            else:
                parts.append(self._text(document, at, item))
            before = k
        if row:
            parts.append(element("div", *row, cls="row"))
        if before + 1 < len(content):
            parts.append(_gap(document, items, content[before + 1 :]))
        return element("div", *parts, cls="reading")

    def _text(self, document: Document, at: int, item: Item) -> Html:
        lost = document.lost.get(at)
        shown = self._words(item) if item.modality == "text" else element("em", _kind(item), cls="note")
        body = element("del", shown) if lost else shown
        note = self._note(document, at, lost)
        cls = f"part lost {lost.fate}" if lost else "part"
        return element("div", element("div", body, cls="words", dir="auto"), note, cls=cls)

    def _figure(self, document: Document, at: int, item: Item) -> Html:
        lost = document.lost.get(at)
        alt = f"picture {at} of {document.key}"
        if item.media is not None:
            face = self._tiles.picture(item.media, alt, PICTURE_PX)
        else:
            where = item.fields.get("url")
            face = element(
                "div", f"picture at {clipped(str(where), 120)}" if where else "no picture", cls="no-face"
            )
        said = next((item.fields[n] for n in ("caption", "alt", "title") if item.fields.get(n)), None)
        caption = element("span", isolated(clipped(str(said), 140)), cls="said") if said else None
        cls = f"lost {lost.fate}" if lost else None
        note = self._note(document, at, lost)
        figure = element("div", face, cls="face"), element("figcaption", caption, note)
        return element("figure", *figure, cls=cls)

    def _words(self, item: Item) -> Html:
        try:
            text = item.text if item.text is not None else _decoded(item)
        except (SampleError, StorageError):
            return element("em", "this text cannot be read", cls="note")
        return excerpt(text)

    def _note(self, document: Document, at: int, lost: Lost | None) -> Html | None:
        """Beside an item: why it was dropped, or what the rule saw in it that dropped the document."""
        rule = lost.rule if lost else document.rule
        values = [
            self._value(name, document.value(name, at))
            for name in self._fields.get(rule, ())
            if self._modality(name) == document.modalities[at] and name in document.values
        ]
        if lost is None:
            return element("aside", _listed(values), cls="why seen") if values else None
        what = "left out" if lost.fate == "failed" else lost.fate
        named = [element("b", isolated(lost.rule))] if lost.rule else []
        reason = [isolated(lost.reason)] if lost.reason else []
        return element(
            "aside", element("span", what, cls="fate"), _listed([*named, *values, *reason]), cls="why"
        )

    def _value(self, name: str, value: Any) -> Html:
        info = self._run.fields.get(name) or FieldInfo()
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        shown = number.with_unit(value, info.unit) if plain else shown_value(value)
        return element("span", element("code", isolated(name)), " ", isolated(shown), cls="value")

    def _modality(self, name: str) -> str:
        return getattr(self._run.fields.get(name), "modality", "")


def shown_places(count: int, lost: Sequence[int]) -> list[int]:
    """Which of a document's items are shown: all of a short one, else the first, the last and what it lost.

    What it lost is shown after the item that stands before it; of more than 24 the first 24 are.
    """
    if count <= MOST_ITEMS and len(lost) <= MOST_LOST:
        return list(range(count))
    shown = {*range(min(FIRST, count)), *range(max(0, count - LAST), count)} - set(lost)
    for place in lost[:MOST_LOST]:
        shown |= {place} | ({place - 1} - set(lost) - {-1})
    return sorted(shown)


def excerpt(text: str) -> Html:
    """A text with its line breaks; of a long one the beginning and the end."""
    text = text.strip()
    if len(text) <= _HEAD + _TAIL + _LEAST_CUT:
        return isolated(text)
    head = text[:_HEAD].rpartition(" ")[0] or text[:_HEAD]
    tail = text[-_TAIL:].partition(" ")[2] or text[-_TAIL:]
    gap = f" … {number.count(len(text) - len(head) - len(tail))} characters … "
    return join(isolated(head), element("span", gap, cls="cut"), isolated(tail))


def _whole(items: Sequence[Item]) -> Html:
    return join(f"Kept whole: {_contents(items)}.")


def _by_rule(document: Document) -> Html:
    """How many items each rule took."""
    counts: dict[str, int] = {}
    for lost in document.lost.values():
        what = lost.rule or lost.reason or "unreadable"
        counts[what] = counts.get(what, 0) + 1
    return _listed(
        [join(element("b", isolated(what)), f" {number.count(n)}") for what, n in counts.items()], ", "
    )


def _gap(document: Document, items: Sequence[Item], places: Sequence[int]) -> Html:
    """What stands in for items that are not shown."""
    lost = sum(at in document.lost for at in places)
    dropped = f", {number.count(lost)} of them dropped" if lost else ""
    return element("p", f"{_contents([items[at] for at in places])}{dropped}", cls="gap")


def _contents(items: Iterable[Item]) -> str:
    """How many of which kind: 3 texts, 1 picture."""
    counts: dict[str, int] = {}
    for item in items:
        if item.modality != "metadata":
            word = {"image": "picture", "other": "other item"}.get(item.modality, item.modality)
            counts[word] = counts.get(word, 0) + 1
    return (
        ", ".join(f"{number.count(n)} {word}{'s' if n != 1 else ''}" for word, n in counts.items())
        or "nothing"
    )


def _listed(parts: Sequence[Html], between: str = " · ") -> Html:
    return join(*(piece for k, part in enumerate(parts) for piece in ((between, part) if k else (part,))))


def _is_picture(item: Item) -> bool:
    return item.modality == "image"


def _kind(item: Item) -> str:
    word = item.modality if item.modality != "other" else str(item.fields.get("modality", "other item"))
    return f"{word} {item.name}"


def _decoded(item: Item) -> str:
    return item.media.read().decode("utf-8", "replace") if item.media is not None else ""
