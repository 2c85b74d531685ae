"""One call of one operator on one item: its inputs made ready, its result checked, its trouble noted."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence, Sequence
from copy import copy
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

import xxhash

from sluice.codec import tiff_page
from sluice.errors import (
    Declined,
    NoAnswerError,
    SampleError,
    StorageError,
    UnavailableError,
    UnreadableError,
)
from sluice.operator.instance import Instance
from sluice.operator.value import children, new_version, storable
from sluice.sample import Item, Note, Sample

ITEM, MEDIA, ENCODED, TEXT, SAMPLE, FRAME, NOTHING = range(7)
ROOT_SLOTS = {
    "item": ITEM,
    "media": MEDIA,
    "encoded": ENCODED,
    "text": TEXT,
    "sample": SAMPLE,
    "frame": FRAME,
    "": NOTHING,
}
"""Where the evaluator puts what it supplies itself; the last is always None, for needs that are not wanted."""


@dataclass
class Cell:
    """One item (or, in the sample and document scopes, one sample) with the values made of it so far."""

    row: int
    item: Item | None
    index: int
    slots: list[Any]
    is_nearest: bool = True
    """Of a pair: whether its text is the one nearest to its image."""


class Run:
    """One call of a program: where notes, hashes and the time spent by step number gather."""

    def __init__(
        self, samples: Sequence[Sample], rows: Sequence[int], beat: MutableSequence[int], steps: int
    ) -> None:
        self.rows, self.beat = rows, beat
        self.notes: list[list[Note]] = [[] for _ in samples]
        self.hashes: list[dict[int, str]] = [{} for _ in samples]
        self.seconds = [0.0] * steps
        self.shares_texts = False
        """Whether texts read for their own sake are kept, as documents are made of them too."""
        self.texts: dict[tuple[int, int], str | Note] = {}

    def apart(self) -> Run:
        """The same call with notes and hashes of its own, for parts of items."""
        found = copy(self)
        found.notes, found.hashes = [[] for _ in self.notes], [{} for _ in self.notes]
        return found

    def begin(self, row: int, step: int | None = None) -> None:
        """Tell the supervisor which sample is under way; `row` is an index into the samples."""
        self._tell(self.rows[row], step)

    def begin_batch(self, count: int, step: int) -> None:
        """Tell the supervisor that one call takes so many items, and that no single one is under way."""
        self._tell(-1 - count, step)

    def _tell(self, row: int, step: int | None) -> None:
        self.beat[0] = row
        if step is not None:
            self.beat[1] = step
        self.beat[2] = monotonic_ns()

    def note(self, cell: Cell, note: Note) -> Note:
        """Keep a note on the cell's sample; it then stands in the place of the value."""
        self.notes[cell.row].append(note)
        return note


@dataclass
class Step:
    """One call, compiled: which slots go in, which comes out."""

    instance: Instance
    inputs: tuple[int, ...]
    output: int
    call: Callable[..., Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    code: int = 0
    """What the beat is told for this step; see `Program.numbered_as_in`."""

    @property
    def name(self) -> str:
        """What notes and timings call it."""
        return self.instance.alias or self.instance.spec.name


_NO_BYTES = ("no bytes", "the item has no media")


def _encoded(cell: Cell, run: Run) -> bytes | Note:
    """All bytes of the item, read once; their hash is remembered. Of a view of one page that page alone."""
    try:
        if cell.item is None or cell.item.media is None:
            raise UnreadableError(*_NO_BYTES)
        data = cell.item.media.read()
    except UnavailableError:
        raise  # no sample's doing
    except Exception as error:  # noqa: BLE001 - whatever a read raises becomes this item's counted failure
        return run.note(cell, as_note(error, "read", cell))
    run.hashes[cell.row][cell.index] = xxhash.xxh3_128_hexdigest(data)
    try:
        return data if cell.item.media.page is None else tiff_page(data, cell.item.media.page)
    except SampleError as error:
        return run.note(cell, as_note(error, "read", cell))


def _text(cell: Cell, run: Run) -> str | Note:
    if cell.item is None:
        return _document_text(cell, run)
    known = run.texts.pop((cell.row, cell.index), None)
    text = _item_text(cell, run) if known is None else known
    if run.shares_texts and known is None:
        run.texts[cell.row, cell.index] = text
    return text


def _document_text(cell: Cell, run: Run) -> str | Note:
    """All texts of the cell's sample that can be read, joined by blank lines; else what is wrong with the first."""
    sample: Sample = cell.slots[SAMPLE]
    found = [_text(Cell(cell.row, item, index, []), run) for index, item in sample.of("text")]
    texts = [text for text in found if not isinstance(text, Note)]
    return "\n\n".join(texts) if texts else found[0]


def _item_text(cell: Cell, run: Run) -> str | Note:
    item = cell.item
    if item is not None and item.text is not None:
        return item.text
    data = _encoded(cell, run)
    if isinstance(data, Note):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return run.note(cell, Note("unreadable", "not UTF-8", str(error), "read", cell.index))


def prepare(cell: Cell, run: Run, *, views: bool, reads: bool, texts: bool) -> None:
    """Fill in what the evaluator itself supplies of an item, where a step to come takes it."""
    slots = cell.slots
    if views and slots[MEDIA] is None:
        slots[MEDIA] = run.note(cell, Note("unreadable", *_NO_BYTES, "read", cell.index))
    if reads and slots[ENCODED] is None:
        slots[ENCODED] = slots[MEDIA] if type(slots[MEDIA]) is Note else _encoded(cell, run)
    if texts and slots[TEXT] is None:
        slots[TEXT] = _text(cell, run)


def trouble_of(step: Step, cell: Cell) -> Note | None:
    """The note of the first input that has none to give; it stands for this step's value too."""
    for slot in step.inputs:
        value = cell.slots[slot]
        if type(value) is Note:
            return value
    return None


def call_item(step: Step, cell: Cell, run: Run) -> Any:
    """The value for one item, or the note that says why there is none."""
    slots = cell.slots
    given = [slots[i] for i in step.inputs]
    for value in given:
        if type(value) is Note:
            return value
    try:
        value = step.call(*given, **step.settings)  # type: ignore[misc]
        return _checked(value, step, cell, run)
    except UnavailableError:
        raise  # no sample's doing
    except Exception as error:  # noqa: BLE001 - whatever an operator raises becomes this sample's counted failure
        return run.note(cell, as_note(error, step.name, cell))


def call_batch(step: Step, cells: list[Cell], run: Run) -> None:
    """Fill the cells' slots by one call for all, or one by one where that call fails."""
    if not cells:
        return
    if len(cells) == 1:
        run.begin(cells[0].row, step.code)
    else:
        run.begin_batch(len(cells), step.code)
    try:
        columns = [[cell.slots[i] for cell in cells] for i in step.inputs]
        values = step.call(*columns, **step.settings)  # type: ignore[misc]
        if len(values) != len(cells):
            raise ValueError(f"returned {len(values)} values for {len(cells)} items")
    except UnavailableError:
        raise  # no sample's doing
    except Exception as error:  # noqa: BLE001 - see call_item; a batch that fails is retried item by item
        if len(cells) > 1:
            for cell in cells:
                call_batch(step, [cell], run)
        else:
            cells[0].slots[step.output] = run.note(cells[0], as_note(error, step.name, cells[0]))
        return
    for cell, value in zip(cells, values, strict=True):
        try:
            cell.slots[step.output] = _checked(value, step, cell, run)
        except Exception as error:  # noqa: BLE001 - see call_item
            cell.slots[step.output] = run.note(cell, as_note(error, step.name, cell))


def as_note(error: Exception, name: str, cell: Cell) -> Note:
    """What an exception says of a cell's item; `name` is the operator's."""
    if isinstance(error, Declined):
        return Note("declined", error.reason, error.what, name, cell.index)
    if isinstance(error, UnreadableError):
        return Note("unreadable", error.reason, error.what, name, cell.index)
    if isinstance(error, StorageError):
        return Note("unreadable", "bytes not readable", str(error), name, cell.index)
    if isinstance(error, NoAnswerError):  # like a crash: `--retry-failed` asks again
        return Note("crash", f"{name}: {error.reason}", error.what, name, cell.index)
    if isinstance(error, MemoryError):
        return Note("crash", f"{name}: out of memory", str(error), name, cell.index)
    reason = error.reason if isinstance(error, SampleError) else type(error).__name__
    return Note("error", f"{name}: {reason}", str(error), name, cell.index)


def _checked(value: Any, step: Step, cell: Cell, run: Run) -> Any:
    """The value to store; of a many-valued measure a tuple in which single fields may be null (or `Declined`).

    An operator on batches says by an exception in an item's place why that item has no value.
    """
    if isinstance(value, SampleError):
        raise value
    outputs = step.instance.outputs
    if step.instance.spec.kind == "track":
        return value
    if not outputs:
        spec = step.instance.spec
        if spec.kind == "splitter":
            return children(value)
        return new_version(value, spec.scope) if spec.kind == "mapper" else value
    if len(outputs) == 1:
        return storable(value, outputs[0])
    if value is None:
        raise Declined("no value")
    parts = []
    for part, output in zip(value, outputs, strict=True):
        try:
            if isinstance(part, Declined):
                raise part
            parts.append(storable(part, output))
        except Declined as error:
            run.note(cell, Note("declined", error.reason, output.name, step.name, cell.index))
            parts.append(None)
    return tuple(parts)
