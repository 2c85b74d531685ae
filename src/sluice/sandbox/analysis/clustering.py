"""Which measures belong together? Hierarchical clustering of their correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from sluice.errors import UsageError
from sluice.operator.extra import imported

Distance = Literal["1 - |r|", "1 - r"]
"""How far apart two measures of correlation r are; by `1 - |r|` opposites lie together, by `1 - r` farthest apart."""
Linkage = Literal["average", "complete", "single"]
"""How far apart two clusters are: by the mean, the greatest or the least distance of their members."""
CUT = 0.5
"""Distance up to which clusters are joined, where no number of clusters is asked for."""


@dataclass(frozen=True)
class Clustering:
    """Clusters of names, and the tree that they were cut from.

    `order` is that of the tree's leaves, in which a heat map shows its blocks. `merges` are the tree from its leaves
    up: two nodes (leaves count from 0 in the order of `leaves`, each merge adds one), their distance and size.
    `alone` are those without a correlation to go by, with the reason; each is a cluster of its own.
    """

    clusters: tuple[tuple[str, ...], ...]
    order: tuple[str, ...]
    leaves: tuple[str, ...]
    merges: tuple[tuple[int, int, float, int], ...]
    distance: Distance
    linkage: Linkage
    alone: Mapping[str, str]


def cluster(
    names: Sequence[str],
    r: Mapping[tuple[str, str], float | None],
    *,
    distance: Distance = "1 - |r|",
    linkage: Linkage = "average",
    count: int | None = None,
    cut: float = CUT,
) -> Clustering:
    """Cluster the names by their correlations `r` (each pair once, either way round; None where there is none).

    Gives at most `count` clusters beside those alone, or those that the tree falls into at the distance `cut`. A name
    that lacks a correlation with any other is taken out, the one with most missing first, and stands alone.
    """
    known = {frozenset(pair): value for pair, value in r.items() if value is not None}
    within, alone = _complete(names, known)
    if count is not None and count < 1:
        raise UsageError(f"{count} clusters cannot be made", fix="give 1 or more")
    if len(within) < 2:
        single = tuple((name,) for name in names)
        return Clustering(single, tuple(names), tuple(within), (), distance, linkage, alone)
    hierarchy = imported("scipy.cluster.hierarchy", "sandbox")
    apart = [_apart(known[frozenset(pair)], distance) for pair in combinations(within, 2)]
    tree = hierarchy.linkage(apart, method=linkage, optimal_ordering=True)
    at, criterion = (cut, "distance") if count is None else (count, "maxclust")
    labels = hierarchy.fcluster(tree, at, criterion)
    order = [within[leaf] for leaf in hierarchy.leaves_list(tree)]
    label_of = dict(zip(within, labels.tolist(), strict=True))
    groups: dict[int, list[str]] = {}
    for name in order:
        groups.setdefault(label_of[name], []).append(name)
    merges = tuple((int(a), int(b), float(d), int(n)) for a, b, d, n in tree)
    clusters = [tuple(group) for group in groups.values()] + [(name,) for name in alone]
    return Clustering(tuple(clusters), (*order, *alone), tuple(within), merges, distance, linkage, alone)


def _apart(r: float, distance: Distance) -> float:
    return max(0.0, 1 - abs(r) if distance == "1 - |r|" else 1 - r)


def _complete(
    names: Sequence[str], known: Mapping[frozenset[str], float]
) -> tuple[list[str], dict[str, str]]:
    """The names that all correlate with each other, and those taken out for it, with the reason."""
    within, alone = list(names), dict[str, str]()
    while True:
        missing = {a: [b for b in within if b != a and frozenset((a, b)) not in known] for a in within}
        worst = max(within, key=lambda name: len(missing[name]), default="")
        if not worst or not missing[worst]:
            return within, alone
        alone[worst] = f"has no correlation with {', '.join(missing[worst][:3])}"
        within.remove(worst)
