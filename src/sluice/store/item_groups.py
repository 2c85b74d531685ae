"""Turns near pairs of items into items that are elsewhere already, and into samples that have too many of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sluice.ops.dedup.pairs import IDENTICAL_SCORE, Kind, Pairs
from sluice.store.groups import Groups, Semantics, connected

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


def resolve_items(
    pairs: Pairs,
    samples: Rows,
    part: Mask,
    order: Rows,
    drop_above: float,
    semantics: Semantics = "greedy",
    *,
    among: Mask,
) -> Groups:
    """Decide which samples are kept, by the near pairs of their items.

    `samples` [m] is each item's sample and `part` [m] which items take part; `order` [n] ranks the samples and
    `among` [n] leaves some out. Samples are visited in that order. An item is a duplicate if a *kept* sample
    before its own has an item near it (`greedy`), or one connected with it by near pairs (`components`);
    copies within one sample do not count. A sample falls if more than the share `drop_above` of its items that
    take part are duplicates; it is then a duplicate of the sample with the nearest of those items (of equally
    near ones, the preferred), with that pair's score (of `components` NaN).
    """
    part = part & among[samples]
    graph = _Graph.of(pairs, len(samples), part, semantics)
    duplicate_of = np.full(len(among), -1, np.int64)
    score = np.full(len(among), np.nan, np.float32)
    holder = np.full(len(samples), -1, np.int64)  # by node: the first kept sample with an item of it
    counts = np.bincount(samples[part], minlength=len(among))
    for sample, own in graph.visits(samples, part, order):
        nodes = graph.node[own].tolist()
        met = [found for node in nodes if (found := graph.met(node, holder, order)) is not None]
        if met and len(met) / counts[sample] > drop_above:
            _, _, duplicate_of[sample], score[sample] = min(met)
        else:
            _hold(holder, nodes, sample)
    group = np.where(duplicate_of >= 0, duplicate_of, np.arange(len(among)))
    return Groups(duplicate_of, score, np.where(among, group, -1))


def duplicate_items(
    pairs: Pairs,
    samples: Rows,
    part: Mask,
    order: Rows,
    semantics: Semantics = "greedy",
) -> Rows:
    """[m] for each item the sample that holds the kept item it is a duplicate of; -1 where it is kept.

    `samples` [m] is each item's sample, `part` [m] which items take part, `order` [n] ranks the samples.
    Samples are visited in that order. An item is a duplicate if an item *kept* before it, in another sample,
    is near it (`greedy`), or connected with it by near pairs (`components`); of several samples with such an
    item the one with the nearest is named (of equally near ones, the preferred). Copies within one sample stay.
    So with `greedy` no two kept items of different samples are near.
    """
    graph = _Graph.of(pairs, len(samples), part, semantics)
    duplicate_of = np.full(len(samples), -1, np.int64)
    holder = np.full(len(samples), -1, np.int64)  # by node: the first sample that kept an item of it
    for sample, own in graph.visits(samples, part, order):
        stays = []
        for item, node in zip(own.tolist(), graph.node[own].tolist(), strict=True):
            met = graph.met(node, holder, order)
            if met is None:
                stays.append(node)
            else:
                duplicate_of[item] = met[2]
        _hold(holder, stays, sample)  # after all were judged: copies within the sample do not count
    return duplicate_of


def _hold(holder: Rows, nodes: list[int], sample: int) -> None:
    """Note that a sample keeps items of these nodes, where no sample before it does."""
    held = np.array(nodes, np.int64)
    holder[held[holder[held] < 0]] = sample


@dataclass(frozen=True)
class _Graph:
    """Items as nodes (identical ones are one), with the near nodes of each in both directions."""

    kind: Kind
    own_score: float
    """The score of two items of one node; NaN where it joins items that may be no pair themselves."""
    node: Rows
    """[m] each item's node."""
    shared: Mask
    """[m] by node: whether an item of it can be a duplicate."""
    start: Rows
    to: Rows
    score: NDArray[np.float32]

    @classmethod
    def of(cls, pairs: Pairs, count: int, part: Mask, semantics: Semantics) -> _Graph:
        # A star's first item may take no part: the others are identical all the same.
        node = connected(count, pairs.a[pairs.identical], pairs.b[pairs.identical])
        alive = np.zeros(count, bool)
        alive[node[part]] = True
        near = ~pairs.identical
        here = alive[node[pairs.a]] & alive[node[pairs.b]] & near
        a, b, score = node[pairs.a[here]], node[pairs.b[here]], pairs.score[here]
        if semantics == "components":
            node = connected(count, a, b)[node]
            a = b = a[:0]
            score = score[:0]
        own_score = IDENTICAL_SCORE[pairs.kind] if semantics == "greedy" else np.nan
        at, to, both = np.r_[a, b], np.r_[b, a], np.r_[score, score]
        sort = np.argsort(at, kind="stable")
        shared = np.bincount(node[part], minlength=count) > 1
        shared[at] = True
        start = np.searchsorted(at[sort], np.arange(count + 1))
        return cls(pairs.kind, own_score, node, shared, start, to[sort], both[sort])

    def visits(self, samples: Rows, part: Mask, order: Rows) -> Iterator[tuple[int, Rows]]:
        """The samples that have items which can be duplicates, in their order, each with those items."""
        items = np.flatnonzero(part & self.shared[self.node])
        items = items[np.lexsort((items, order[samples[items]]))]
        for own in np.split(items, np.flatnonzero(np.diff(samples[items])) + 1) if len(items) else ():
            yield int(samples[own[0]]), own

    def met(self, node: int, holder: Rows, order: Rows) -> tuple[float, int, int, float] | None:
        """The nearest kept item of a node: (how far, rank of its sample, its sample, score); None where none."""
        away = 1.0 if self.kind == "hamming" else -1.0
        near = slice(self.start[node], self.start[node + 1])
        held = holder[self.to[near]]
        found = [
            (away * float(s), int(h), float(s)) for s, h in zip(self.score[near], held, strict=True) if h >= 0
        ]
        if holder[node] >= 0:
            found.append((away * IDENTICAL_SCORE[self.kind], int(holder[node]), self.own_score))
        return min(((far, int(order[h]), h, score) for far, h, score in found), default=None)
