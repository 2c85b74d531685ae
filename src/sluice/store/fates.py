"""Fates: the outcome for every sample of a table, and what each rule had to do with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.recipe.selectors import Selector
from sluice.recipe.steps import Dedup, DropItems, Keep, Map, Split, Step
from sluice.store.rules import ABSENT, FAILS, NULL, Verdicts, View

KEPT, DROPPED, DUPLICATE, FAILED = range(4)
FATES = ("kept", "dropped", "duplicate", "failed")
PARENT_FATES = ("split", "childless", "failed")
"""What becomes of a sample that a splitter takes apart: its children are the samples of all further steps."""

Mask = NDArray[np.bool_]
NO_CONTENT = "no content left"
"""Why a sample is dropped by a step that dropped its last text or medium."""


@dataclass(frozen=True, slots=True)
class ItemFate:
    """What befell an item inside a sample: by which step (−1: none, it is unreadable), as what, and why.

    `fate` is an index into `FATES`; `reason` is empty where the step says it all.
    """

    step: int
    fate: int
    reason: str = ""


ItemsGone = dict[int, dict[tuple[str, int], ItemFate]]
"""By ordinal the items that are left out, (modality, index among the sample's items of it), and what befell them."""


@dataclass(frozen=True)
class RuleYield:
    """What one rule did among the samples that did not fail.

    `kept` is left after it and all before it; `first_failing` it was the first to drop; `alone` fail it,
    whatever else; `only_this` fail it and no other rule; `null` had nothing to judge; `absent` of those
    were never measured because an earlier rule had dropped them, so that they neither pass nor fail.
    `items` were dropped inside samples.
    """

    step: int
    name: str
    rule: str
    kept: int
    first_failing: int
    alone: int
    only_this: int
    null: int
    absent: int = 0
    items: int = 0


@dataclass
class Fates:
    """The outcome for every sample of a table, in its order.

    `fate` holds indices into `FATES`; `step` the recipe step that decided (−1: none); `verdicts` each rule's
    results by step; `duplicate_of` the ordinal of the kept twin (−1) with `score`; `reason` has
    the ordinals of failed samples with why they failed, and of those that a step left without content.
    """

    fate: NDArray[np.uint8]
    step: NDArray[np.int16]
    duplicate_of: NDArray[np.int64]
    score: NDArray[np.float32]
    reason: dict[int, str] = field(default_factory=dict)
    verdicts: dict[int, Verdicts] = field(default_factory=dict)
    keep_nulls: dict[int, bool] = field(default_factory=dict)
    yields: list[RuleYield] = field(default_factory=list)
    never_compared: int = 0
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    """For each `dedup` step how duplicates were found: counts, the method, its recall certificate."""
    never_measured: dict[str, int] = field(default_factory=dict)
    """By field how many samples reached a rule about it without ever having been measured."""
    dropped_items: ItemsGone = field(default_factory=dict)
    """All items left out inside samples: unreadable ones, and those that steps dropped of samples still kept."""
    views: dict[int, View] = field(default_factory=dict)
    """The table as each rule saw it, by step."""

    @classmethod
    def all_kept(cls, n: int) -> Fates:
        """The fates of `n` samples before anything is decided."""
        return cls(
            np.full(n, KEPT, np.uint8),
            np.full(n, -1, np.int16),
            np.full(n, -1, np.int64),
            np.full(n, np.nan, np.float32),
        )

    def set(self, which: Mask, step: int, fate: int) -> None:
        """Give samples a fate, decided by a step (−1: none)."""
        np.putmask(self.fate, which, np.uint8(fate))
        np.putmask(self.step, which, np.int16(step))

    def fail(self, ordinal: int, reason: str) -> None:
        """Let one sample fail with its reason, whatever was decided of it."""
        self.fate[ordinal], self.step[ordinal], self.reason[ordinal] = FAILED, -1, reason

    def lose(self, lost: ItemsGone) -> None:
        """Leave items out; what befell an item first stays."""
        for ordinal, items in lost.items():
            known = self.dropped_items.setdefault(ordinal, {})
            for key, fate in items.items():
                known.setdefault(key, fate)

    def empty(self, ordinals: NDArray[np.int64], step: int) -> None:
        """Drop samples that a step left without content."""
        self.fate[ordinals], self.step[ordinals] = DROPPED, step
        self.reason |= dict.fromkeys(ordinals.tolist(), NO_CONTENT)

    def failures(self) -> dict[str, int]:
        """How many samples failed for which reason, the most frequent first."""
        found = Counter(why for ordinal, why in self.reason.items() if self.fate[ordinal] == FAILED)
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    @property
    def kept(self) -> Mask:
        """Which samples are kept."""
        kept: Mask = self.fate == KEPT
        return kept

    def counts(self) -> dict[str, int]:
        """How many samples have each fate, and how many were read: the equation of conservation."""
        found = np.bincount(self.fate, minlength=len(FATES))
        return {"read": len(self.fate), **{name: int(found[i]) for i, name in enumerate(FATES)}}

    def fails(self, step: int, rows: slice = slice(None)) -> Mask:
        """Which samples fail one rule (a null counts as the rule's `nulls` says; what is absent does not fail)."""
        verdict = self.verdicts[step][rows]
        failing: Mask = verdict == FAILS if self.keep_nulls[step] else verdict <= FAILS
        return failing


def step_text(step: Step) -> str:
    """What a step does, in words of the recipe."""
    if isinstance(step, Keep | DropItems):
        return step.rule
    if isinstance(step, Dedup):
        near = f", distance {step.distance}" if step.distance is not None else ""
        near += f", similarity {step.similarity:g}" if step.similarity is not None else ""
        return f"dedup by {step.by}{near}, keep by {step.keep_by}"
    if isinstance(step, Selector):
        seed = getattr(step, "seed", None)
        return step.summary + (f", seed {seed}" if seed is not None else "")
    if isinstance(step, Map | Split):
        return f"{step.key} {step.operator.name}"
    return step.key


def step_name(number: int, step: Step) -> str:
    """The name under which a step's drops are counted: its own, else its rule or what it does."""
    name = getattr(step, "name", None)
    if name:
        return str(name)
    if isinstance(step, Keep | DropItems):
        return step.rule
    if isinstance(step, Dedup):
        return f"dedup by {step.by}"
    if isinstance(step, Selector):
        return step.summary
    if isinstance(step, Map | Split):
        return step.operator.name
    return f"step {number + 1}"


def yields_of(steps: Sequence[Step], fates: Fates) -> list[RuleYield]:
    """What each step did; see `RuleYield`."""
    judged = fates.fate != FAILED
    left = int(np.count_nonzero(judged))
    everything = left == len(judged)
    failing = {n: fates.fails(n) if everything else fates.fails(n) & judged for n in fates.verdicts}
    failures: NDArray[np.uint16] = np.zeros(len(judged), np.uint16)
    for mask in failing.values():
        np.add(failures, mask, out=failures)
    once = failures == 1
    decided = np.bincount(fates.step[fates.step >= 0], minlength=len(steps))
    items = Counter(lost.step for of in fates.dropped_items.values() for lost in of.values())
    found = []
    for number, step in enumerate(steps):
        dropped_here = int(decided[number])
        left -= dropped_here
        name = step_name(number, step)
        if isinstance(step, Keep) and number in failing:
            verdict = fates.verdicts[number]
            null = verdict == NULL
            found.append(
                RuleYield(
                    number,
                    name,
                    step.rule,
                    kept=left,
                    first_failing=dropped_here,
                    alone=int(np.count_nonzero(failing[number])),
                    only_this=int(np.count_nonzero(failing[number] & once)),
                    null=int(np.count_nonzero(null if everything else null & judged)),
                    absent=int(np.count_nonzero((verdict == ABSENT) & judged)),
                )
            )
        elif isinstance(step, Dedup | Selector | DropItems):
            here = (dropped_here,) * 3
            found.append(RuleYield(number, name, name, left, *here, null=0, items=items[number]))
    return found
