"""How do the thirds of each measure do as training data? Operators in the order that may be told, and the best few."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluice.sandbox.pools import PARTS
from sluice.sandbox.statistics import Comparison

JOIN = "+"
"""Between the conditions in the name of an arm that meets several: `image_sharpness-high+text_words-mid`."""


def conditions_of(arm: str) -> tuple[tuple[str, str], ...]:
    """The (measure, part) pairs that an arm's name says; empty where it is no third of a measure (`control`, mixtures).

    `a-high+b-low` → (("a", "high"), ("b", "low")).
    """
    found = []
    for condition in arm.split(JOIN):
        measure, dash, part = condition.rpartition("-")
        if not dash or not measure or part not in PARTS:
            return ()
        found.append((measure, part))
    return tuple(found)


@dataclass(frozen=True)
class Operator:
    """One measure, and how its thirds compare with the control in one metric.

    `best` is the third with the greatest gain among those that are better than the control; where none is, among all
    that have a mean: a candidate, no finding. `rank` counts from 1 and only among operators of which a third is
    better; None says that nothing is known to set it apart.
    """

    measure: str
    thirds: Mapping[str, Comparison]
    rank: int | None = None

    @property
    def best(self) -> Comparison | None:
        """The third to choose, if any has a mean."""
        known = [c for c in self.thirds.values() if c.gain is not None]
        better = [c for c in known if c.verdict == "better"]
        return max(better or known, key=lambda c: c.gain or 0.0, default=None)

    def row(self) -> dict[str, Any]:
        """As JSON data."""
        best = self.best
        return {
            "measure": self.measure,
            "rank": self.rank,
            "best": best and best.arm,
            "gain": best and best.gain,
            "verdict": best.verdict if best else "no verdict",
            "pools": {part: c.row() for part, c in self.thirds.items()},
        }


def operators(comparisons: Iterable[Comparison], metric: str) -> list[Operator]:
    """The measures whose thirds were compared in this metric: ranked ones first, the others by the alphabet."""
    thirds: dict[str, dict[str, Comparison]] = {}
    for each in comparisons:
        conditions = conditions_of(each.arm) if each.metric == metric else ()
        if len(conditions) == 1:
            ((measure, part),) = conditions
            thirds.setdefault(measure, {})[part] = each
    found = [Operator(m, {p: of[p] for p in PARTS if p in of}) for m, of in sorted(thirds.items())]
    sure = sorted((o for o in found if _better(o)), key=lambda o: -_gain(o))
    ranked = [Operator(o.measure, o.thirds, rank) for rank, o in enumerate(sure, 1)]
    return ranked + [o for o in found if not _better(o)]


def top(found: Sequence[Operator], k: int, *, sure: bool = True) -> list[Comparison]:
    """The best third of at most `k` operators, by falling gain.

    With `sure` only of those that are better than the control; without, by the mean effect alone, as the Data-Juicer
    Sandbox chooses them: what to try next, not what was found.
    """
    ranked = sorted(found, key=lambda o: (o.rank is None, -_gain(o), o.measure))
    chosen = [o.best for o in ranked if o.best is not None and (o.rank is not None or not sure)]
    return chosen[:k]


def best_of_each(
    found: Sequence[Operator], clusters: Iterable[Sequence[str]], *, sure: bool = True
) -> list[Comparison]:
    """The best third of each cluster of measures, by falling gain; clusters without one are left out."""
    by_name = {o.measure: o for o in found}
    bests = [top([by_name[name] for name in group if name in by_name], 1, sure=sure) for group in clusters]
    return sorted((best for some in bests for best in some), key=lambda c: -(c.gain or 0.0))


def _better(of: Operator) -> bool:
    return of.best is not None and of.best.verdict == "better"


def _gain(of: Operator) -> float:
    return (of.best.gain if of.best else None) or 0.0
