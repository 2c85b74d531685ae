"""Turns near pairs into groups: which rows are kept, and of whom each other row is a duplicate."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from sluice.errors import RecipeError, UsageError
from sluice.ops.dedup.pairs import IDENTICAL_SCORE, Pairs

Semantics = Literal["greedy", "components"]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """The outcome for n rows."""

    duplicate_of: Rows
    """[n] the kept row that stands for this one; -1 where this row is kept (or does not take part)."""
    score: NDArray[np.float32]
    """[n] the score of the pair (row, duplicate_of); NaN where the row is kept, and where a connected
    component joins two rows that are not a verified pair themselves."""
    group: Rows
    """[n] the kept row of this row's group (its own number where it is kept); -1 where it takes no part."""


def keep_order(
    columns: Mapping[str, pa.Array | pa.ChunkedArray | NDArray[np.generic]],
    ids: Sequence[str] | pa.Array | pa.ChunkedArray,
    policy: str = "first",
    *,
    seed: int = 0,
    source: Rows | None = None,
) -> Rows:
    """Rank the rows by a keep policy: [n] int64, 0 is the most preferred, all different.

    `policy` is `first` (source order), `random` (by the xxh3-64 of the id with `seed`, so that a sample's
    luck does not depend on its company), or fields with directions, as in
    `image_width_px desc, image_size_bytes desc` (ascending unless said). Nulls and NaN come last in either
    direction. Ties go by `source` (default: the row's number), then by id. Text is ordered by code point.

    Raises RecipeError (field `keep_by`) naming the nearest field when one is not in `columns`.
    """
    names = list(ids) if not isinstance(ids, pa.Array | pa.ChunkedArray) else ids.to_pylist()
    keys: list[NDArray[np.generic]] = [np.arange(len(names)) if source is None else source]
    if source is not None:
        keys.append(_rank(pa.array(names, pa.string()), "ascending"))
    if policy.strip() == "random":
        luck = (xxhash.xxh3_64_intdigest(name.encode(), seed=seed) for name in names)
        keys.insert(0, np.fromiter(luck, np.uint64, len(names)))
    elif policy.strip() != "first":
        keys = [*(_rank(columns[name], way) for name, way in _fields(policy, columns)), *keys]
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.lexsort(keys[::-1])] = np.arange(len(names))
    return rank


def _fields(policy: str, columns: Mapping[str, object]) -> list[tuple[str, str]]:
    """Parse `a desc, b` into [(a, descending), (b, ascending)]."""
    parsed = []
    for part in policy.split(","):
        name, *way = part.split() or [""]
        directions = {(): "ascending", ("asc",): "ascending", ("desc",): "descending"}
        direction = directions.get(tuple(word.lower() for word in way))
        if not name or direction is None:
            raise RecipeError(
                f"cannot read {part.strip()!r} in the keep policy {policy!r}",
                field="keep_by",
                fix="write 'first', 'random' or fields such as 'image_width_px desc, image_size_bytes desc'",
            )
        if name not in columns:
            nearest = difflib.get_close_matches(name, [*columns, "first", "random"], n=1)
            raise RecipeError(
                f"no field {name!r} to keep by",
                field="keep_by",
                fix=f"did you mean {nearest[0]!r}?" if nearest else "measure it before this step",
            )
        parsed.append((name, direction))
    return parsed


def _rank(values: pa.Array | pa.ChunkedArray | NDArray[np.generic], direction: str) -> Rows:
    """Return equal ranks for equal values, nulls and NaN last."""
    import pyarrow.compute as pc

    column = pa.array(values) if isinstance(values, np.ndarray) else values
    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.uint8())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    ranks = pc.rank(column, sort_keys=direction, tiebreaker="dense")  # nulls at the end in either direction
    return np.asarray(ranks.to_numpy(zero_copy_only=False), dtype=np.int64)


def resolve(
    n: int,
    pairs: Pairs,
    order: Rows,
    semantics: Semantics = "greedy",
    *,
    among: NDArray[np.bool_] | None = None,
) -> Groups:
    """Decide which of `n` rows are kept.

    `order` [n] ranks the rows: the lower is preferred, no two are equal (see `keep_order`). `among` [n]
    leaves out rows that other rules have dropped; the rest is resolved as if they did not exist.

    `greedy` visits the rows in that order and drops a row if a *kept* row before it is near; it is then a
    duplicate of the nearest such row (of equally near ones, the preferred). So no two kept rows are near,
    and each dropped row has a kept one near. `components` keeps the preferred row of each connected
    component.

    The rows of a star (identical values, see `Pairs`) are one node: what is near one is near all, whichever
    of them is the star's first, preferred or left out.
    """
    if semantics not in ("greedy", "components"):
        raise UsageError(f"no semantics {semantics!r}", fix="use 'greedy' or 'components'")
    order = _dense(n, order)
    part = np.ones(n, bool) if among is None else among
    node = connected(n, pairs.a[pairs.identical], pairs.b[pairs.identical])
    best = _best_rows(node, order, part)
    near = _near_nodes(pairs, node, best, order)
    if semantics == "components":
        return _components(n, pairs, node, best, near, order, part)
    return _greedy(n, pairs, node, best, near, order, part)


def _dense(n: int, order: Rows) -> Rows:
    """Return the same order as ranks 0 to n - 1."""
    visit = np.argsort(order)
    if len(order) != n or (np.diff(order[visit]) == 0).any():
        raise UsageError(f"the order must give {n} rows as many different ranks")
    rank = np.empty(n, dtype=np.int64)
    rank[visit] = np.arange(n)
    return rank


def connected(n: int, a: Rows, b: Rows) -> Rows:
    """Label each of `n` rows with the lowest row of its connected component under the edges (a, b).

    Each round hooks the root of the higher label to the lowest one that an edge connects it with, then
    flattens all paths: a logarithmic number of rounds in practice, each linear in rows and open edges.
    """
    label = np.arange(n, dtype=np.int64)
    while len(a):
        root_a, root_b = label[a], label[b]
        open_edges = root_a != root_b
        a, b, root_a, root_b = a[open_edges], b[open_edges], root_a[open_edges], root_b[open_edges]
        np.minimum.at(label, np.maximum(root_a, root_b), np.minimum(root_a, root_b))
        while True:
            shorter = label[label]
            if np.array_equal(shorter, label):
                break
            label = shorter
    return label


@dataclass(frozen=True)
class _Edges:
    """Near pairs of nodes in both directions, sorted by `key`: the node, then how preferred the other is."""

    at: Rows
    to: Rows
    score: NDArray[np.float32]
    key: Rows
    """at · n + the rank of the best row of `to`."""
    nearness: NDArray[np.float32]
    """The score, or its negative where a higher score is nearer."""


def _best_rows(node: Rows, order: Rows, part: NDArray[np.bool_]) -> Rows:
    """[n] at each node's label, its preferred row that takes part; -1 elsewhere."""
    best = np.full(len(node), -1, dtype=np.int64)
    rows = np.flatnonzero(part)
    rows = rows[np.argsort(-order[rows])]
    best[node[rows]] = rows  # of several rows the last assigned stays, and that is the preferred one
    return best


def _near_nodes(pairs: Pairs, node: Rows, best: Rows, order: Rows) -> _Edges:
    a, b = node[pairs.a[~pairs.identical]], node[pairs.b[~pairs.identical]]
    score = pairs.score[~pairs.identical]
    here = (best[a] >= 0) & (best[b] >= 0) & (a != b)
    at, to = np.concatenate([a[here], b[here]]), np.concatenate([b[here], a[here]])
    key = at * np.int64(len(order)) + order[best[to]]
    sort = np.argsort(key)
    score = np.concatenate([score[here], score[here]])[sort]
    return _Edges(at[sort], to[sort], score, key[sort], score if pairs.kind == "hamming" else -score)


def _greedy(
    n: int, pairs: Pairs, node: Rows, best: Rows, near: _Edges, order: Rows, part: NDArray[np.bool_]
) -> Groups:
    kept = _kept_nodes(n, best, near, order)
    duplicate_of = np.full(n, -1, dtype=np.int64)
    score = np.full(n, np.nan, dtype=np.float32)
    rows = np.flatnonzero(part)
    copies = rows[kept[node[rows]] & (best[node[rows]] != rows)]
    duplicate_of[copies] = best[node[copies]]
    score[copies] = IDENTICAL_SCORE[pairs.kind]
    dropped = rows[~kept[node[rows]]]
    edge = _nearest_kept(dropped, kept, node, near, order)
    duplicate_of[dropped] = best[near.to[edge]]
    score[dropped] = near.score[edge]
    return _groups(duplicate_of, score, part)


def _kept_nodes(n: int, best: Rows, near: _Edges, order: Rows) -> NDArray[np.bool_]:
    """[n] true at the labels of nodes that greedy keeps; Python loops over nodes with near ones only."""
    kept = best >= 0
    later = order[best[near.to]] > order[best[near.at]]
    at, to = near.at[later], near.to[later]
    nodes, start, count = np.unique(at, return_index=True, return_counts=True)
    visit = np.argsort(order[best[nodes]])
    for one, begin, size in zip(nodes[visit], start[visit], count[visit], strict=True):
        if kept[one]:
            kept[to[begin : begin + size]] = False
    return kept


def _nearest_kept(rows: Rows, kept: NDArray[np.bool_], node: Rows, near: _Edges, order: Rows) -> Rows:
    """For each of the dropped `rows`, the edge from its node to the nearest kept node that precedes the row.

    A node's edges stand in the order of their kept rows, so those that precede a row are a prefix, found by
    bisection; the least rank of each prefix is a running minimum within the node.
    """
    edges = np.flatnonzero(kept[near.to] & ~kept[near.at])
    if not len(rows):
        return edges[:0]
    ranked = edges[np.argsort(near.nearness[edges], kind="stable")]  # stable: of ties the preferred first
    rank = np.empty(len(near.at), dtype=np.int64)
    rank[ranked] = np.arange(len(ranked))
    # Lowering each node's ranks below those of the nodes before it makes one running minimum serve all.
    drop = near.at[edges] * np.int64(len(edges))
    running = np.minimum.accumulate(rank[edges] - drop) + drop
    before = np.searchsorted(near.key[edges], node[rows] * np.int64(len(order)) + order[rows])
    nearest: Rows = ranked[running[before - 1]]
    return nearest


def _components(
    n: int, pairs: Pairs, node: Rows, best: Rows, near: _Edges, order: Rows, part: NDArray[np.bool_]
) -> Groups:
    once = near.at < near.to
    whole = connected(n, near.at[once], near.to[once])[node]
    keeper = _best_rows(whole, order, part)[whole]
    duplicate_of = np.where(part & (keeper != np.arange(n)), keeper, -1)
    score = np.full(n, np.nan, dtype=np.float32)
    dropped = np.flatnonzero(duplicate_of >= 0)
    same = node[dropped] == node[duplicate_of[dropped]]
    score[dropped[same]] = IDENTICAL_SCORE[pairs.kind]
    wanted = node[dropped] * np.int64(n) + order[duplicate_of[dropped]]  # the edge to the keeper, if any
    found = np.searchsorted(near.key, wanted)
    hit = found < len(near.key)
    hit[hit] = near.key[found[hit]] == wanted[hit]
    score[dropped[hit]] = near.score[found[hit]]
    return _groups(duplicate_of, score, part)


def _groups(duplicate_of: Rows, score: NDArray[np.float32], part: NDArray[np.bool_]) -> Groups:
    own = np.where(duplicate_of >= 0, duplicate_of, np.arange(len(duplicate_of)))
    return Groups(duplicate_of, score, np.where(part, own, -1))
