"""Pairs an image or video of a sample with its texts: which pairs there are, and what becomes of several of one item.

A pair scope is one flat table of (item, text): a captioned picture has one row, a document one for every
picture with the text nearest to it, or, where an operator asks for it, with each of its texts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from sluice.operator.step import SAMPLE, Cell, Run, Step
from sluice.sample import Note, Sample

NO_TEXT = "no text"
"""Why an image or video of a sample without any text has no value."""


def nearest_text(image: int, texts: Sequence[int]) -> int:
    """The place in `texts` (item indices, ascending) of the one nearest to item `image`; the earlier of a tie."""
    after = bisect_left(texts, image)
    if after == len(texts) or (after and image - texts[after - 1] <= texts[after] - image):
        return after - 1
    return after


def pair_cells(
    samples: Sequence[Sample],
    modality: str,
    steps: Sequence[Step],
    size: int,
    borrowed: Mapping[int, tuple[str, list[Any]]],
    run: Run,
) -> list[Cell]:
    """One cell a pair, in the order of a modality's items; `borrowed` gives the scope and values of others by slot.

    An item whose sample has no text makes no cell; its note is made here, once for each step.
    """
    with_all = any(step.instance.settings.get("pair") != "nearest" for step in steps if step.instance.made)
    cells = []
    for row, sample in enumerate(samples):
        texts = [index for index, _ in sample.of("text")]
        for k, (image, item) in enumerate(sample.of(modality)):
            nearest = nearest_text(image, texts) if texts else -1
            for step in steps if not texts else ():
                if step.instance.made:
                    run.notes[row].append(Note("declined", NO_TEXT, "", step.name, image))
            for j in range(len(texts)) if with_all else [nearest] if texts else []:
                slots: list[Any] = [None] * size
                slots[SAMPLE] = sample
                for slot, (scope, values) in borrowed.items():
                    slots[slot] = values[row][j if scope == "text" else k]
                cells.append(Cell(row, item, image, slots, is_nearest=j == nearest))
    return cells


def pair_values(step: Step, modality: str, cells: Sequence[Cell], samples: Sequence[Sample]) -> list[Any]:
    """For each sample a list with one value an item of a modality: of the nearest text, or the extreme of all.

    A note stands where no pair of the item has a value.
    """
    wanted = step.instance.settings.get("pair", "nearest")
    values: dict[tuple[int, int], list[Any]] = {}
    for cell in cells:
        if cell.is_nearest or wanted != "nearest":
            values.setdefault((cell.row, cell.index), []).append(cell.slots[step.output])
    missing = Note("declined", NO_TEXT)
    return [
        [_reduced(values.get((row, image), [missing]), wanted) for image, _ in sample.of(modality)]
        for row, sample in enumerate(samples)
    ]


def _reduced(values: Sequence[Any], wanted: str) -> Any:
    known = [v for v in values if type(v) is not Note]
    if len(known) < 2:
        return known[0] if known else values[0]
    extreme = max if wanted == "any" else min
    if isinstance(known[0], tuple):
        return tuple(_extreme(part, extreme) for part in zip(*known, strict=True))
    return extreme(known)


def _extreme(values: Sequence[Any], extreme: Any) -> Any:
    return extreme((v for v in values if v is not None), default=None)
