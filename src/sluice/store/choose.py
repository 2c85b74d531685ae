"""Chooses among the samples that are left: what each kind of selector keeps, from columns alone."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from sluice.errors import PlanError
from sluice.recipe.expression import quote_name
from sluice.recipe.selectors import (
    Balance,
    Frequency,
    Mixture,
    Quantile,
    SampleStep,
    Selector,
    Top,
)
from sluice.store.fates import Mask
from sluice.store.ranks import ranked
from sluice.store.table import Table

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Left:
    """The samples that are left, by ordinal, and the table that holds their columns."""

    table: Table
    alive: Mask

    @property
    def ordinals(self) -> Rows:
        """Ordinals of the samples left, ascending."""
        return np.flatnonzero(self.alive)

    def ids(self) -> list[str]:
        """The ids of all samples of the table."""
        paths = self.table.paths()
        return [i for path in paths for i in pq.read_table(path, columns=["id"]).column(0).to_pylist()]

    def column(self, name: str, step: Selector) -> pa.ChunkedArray:
        """One value for every sample of the table; PlanError where samples have several."""
        column = self.table.columns.get(name)
        if column is not None and column.layout == "list":
            most = self.table.max_items.get(column.modality or "", 0)
            raise PlanError(
                f"samples have up to {most} {column.modality} items each; `{step.key}` by {name!r} "
                "looks at one value a sample",
                where=str(step.at),
                fix="choose by a sample-level column",
            )
        connection = self.table.connect()
        return connection.sql(f"SELECT {quote_name(name)} FROM samples").to_arrow_table().column(0)

    def luck(self, seed: int) -> NDArray[np.uint64]:
        """A random number for every sample of the table: by the xxh3-64 of its id, whatever its company."""
        ids = self.ids()
        found = (xxhash.xxh3_64_intdigest(i.encode(), seed=seed) for i in ids)
        return np.fromiter(found, np.uint64, len(ids))


def chosen(step: Selector, table: Table, alive: Mask) -> Mask:
    """Which samples a selector keeps, of those alive; none that is not."""
    found = _CHOICES[type(step)](step, Left(table, alive))
    kept: Mask = alive & found
    return kept


def _sample(step: SampleStep, left: Left) -> Mask:
    luck = left.luck(step.seed)
    if step.fraction is not None:
        return luck < np.uint64(min(int(step.fraction * 2**64), 2**64 - 1))
    rows = left.ordinals
    return _marked(left, rows[np.argsort(luck[rows], kind="stable")[: step.count]])


def _marked(left: Left, ordinals: Rows) -> Mask:
    mask = np.zeros(len(left.alive), bool)
    mask[ordinals] = True
    return mask


def _numbers(step: Top | Quantile, left: Left) -> tuple[Rows, NDArray[np.float64], Mask]:
    """Ordinals with a value, their values, and what becomes of those without."""
    column = left.column(step.by, step)
    values = column.cast(pa.float64()).to_numpy()
    valid = ~np.isnan(values)
    rows = np.flatnonzero(left.alive & valid)
    without = ~valid if step.nulls == "keep" else np.zeros(len(valid), bool)
    return rows, values[rows], without


def _top(step: Top, left: Left) -> Mask:
    rows, values, without = _numbers(step, left)
    wanted = step.count if step.count is not None else int((step.fraction or 0) * len(rows) + 0.5)
    wanted = min(wanted, len(rows))
    if wanted == 0:
        return without
    height = values if step.order == "desc" else -values
    cut = np.partition(height, len(height) - wanted)[len(height) - wanted]
    above = rows[height > cut]
    level = rows[height == cut]
    if len(above) + len(level) > wanted:
        ids = left.table.take(level, ["id"]).column(0).to_pylist()
        order = sorted(range(len(level)), key=ids.__getitem__)
        level = level[order[: wanted - len(above)]]
    return without | _marked(left, np.concatenate([above, level]))


def _quantile(step: Quantile, left: Left) -> Mask:
    rows, values, without = _numbers(step, left)
    if not len(rows):
        return without
    low, high = np.quantile(values, [step.low, step.high])
    return without | _marked(left, rows[(values >= low) & (values <= high)])


def _labels(
    step: Balance | Frequency | Mixture, left: Left
) -> tuple[Rows, NDArray[np.int64], list[Any], Mask]:
    """Ordinals with a label, their labels' numbers, the labels in ascending order, and those without one."""
    if isinstance(step, Balance) and step.clusters is not None:
        return _clusters(step, step.clusters, left)
    column = left.column(step.by, step)
    valid = column.is_valid().to_numpy()
    rows = np.flatnonzero(left.alive & valid)
    values = column.take(pa.array(rows)).combine_chunks()
    encoded = values.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    labels = encoded.dictionary.take(pa.array(order)).to_pylist()
    without = ~valid if getattr(step, "nulls", "drop") == "keep" else np.zeros(len(valid), bool)
    return rows, place[encoded.indices.to_numpy()], labels, without


def _clusters(step: Balance, clusters: int, left: Left) -> tuple[Rows, NDArray[np.int64], list[Any], Mask]:
    from sluice.ops.dedup.kmeans import cluster

    ordinals, items, vectors = left.table.vectors(step.by)
    if len(items) and items.max() > 0:
        left.column(step.by, step)  # says that samples have several
    here = left.alive[ordinals]
    rows, vectors = ordinals[here], vectors[here]
    usable = np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1)
    without = np.zeros(len(left.alive), bool)
    if step.nulls == "keep":
        without[:] = True
        without[rows[usable]] = False
    labels = cluster(vectors[usable], clusters, seed=step.seed)
    return rows[usable], labels, list(range(clusters)), without


def _balance(step: Balance, left: Left) -> Mask:
    rows, codes, labels, without = _labels(step, left)
    sizes = np.bincount(codes, minlength=len(labels))
    most = step.max_per if step.max_per is not None else _level(sizes, step.count or 0)
    preference = _preference(step, left)[rows]
    order = np.lexsort([preference, codes])
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(rows)) - starts[codes[order]]
    stay = order[place < max(most, 1)]
    if most == 0 and step.count is not None:  # more labels than samples wanted: the preferred of their best
        stay = stay[np.argsort(preference[stay], kind="stable")[: step.count]]
    return without | _marked(left, rows[stay])


def _level(sizes: NDArray[np.int64], count: int) -> int:
    """The highest number that leaves at most `count` in all when no label has more than it."""
    low, high = 0, int(sizes.max(initial=0))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(sizes, middle).sum() <= count else (low, middle - 1)
    return low


def _preference(step: Balance, left: Left) -> NDArray[Any]:
    """A rank for every sample of the table: within a label the lower ones stay."""
    if step.keep_by == "first":
        return np.arange(len(left.alive))
    if step.keep_by == "random":
        return left.luck(step.seed)
    return ranked(left.table, step.keep_by)


def _frequency(step: Frequency, left: Left) -> Mask:
    rows, codes, labels, without = _labels(step, left)
    sizes = np.bincount(codes, minlength=len(labels))
    good = np.ones(len(labels), bool)
    if step.min_count is not None:
        good &= sizes >= step.min_count
    if step.max_count is not None:
        good &= sizes <= step.max_count
    if step.top is not None:
        first = np.argsort(-sizes, kind="stable")[: step.top]
        good &= np.isin(np.arange(len(labels)), first)
    return without | _marked(left, rows[good[codes]])


def _mixture(step: Mixture, left: Left) -> Mask:
    rows, codes, labels, _ = _labels(step, left)
    number = {_text(label): k for k, label in enumerate(labels)}
    names = [name for name, weight in step.weights.items() if weight > 0]
    if len(rows):
        _refuse_unknown([name for name in names if name not in number], number, step)
    have = np.array([int((codes == number[name]).sum()) if name in number else 0 for name in names])
    shares = np.array([step.weights[name] for name in names])
    shares /= shares.sum()
    most = int((have / shares).min() + 1e-9)
    # Within `most` no label's share exceeds what there is, however it is rounded.
    wanted = np.minimum(quotas(shares, step.count or most), have)
    luck = left.luck(step.seed)
    taken = [np.empty(0, np.int64)]
    for name, count in zip(names, wanted, strict=True):
        if count:
            mine = rows[codes == number[name]]
            taken.append(mine[np.argsort(luck[mine], kind="stable")[:count]])
    return _marked(left, np.concatenate(taken))


def _refuse_unknown(missing: list[str], labels: dict[str, int], step: Mixture) -> None:
    """A label without any sample would leave a mixture of nothing: it is misspelt, or rules dropped all of it."""
    if not missing:
        return
    near = difflib.get_close_matches(missing[0], labels, n=1)
    known = ", ".join(repr(label) for label in list(labels)[:5])
    fix = (
        f"did you mean {near[0]!r}?" if near else f"labels of the samples left: {known}; or give it weight 0"
    )
    raise PlanError(f"no sample left has the label {missing[0]!r}", where=str(step.at), fix=fix)


def _text(label: Any) -> str:
    """A label as weights write it."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def quotas(shares: NDArray[np.float64], count: int) -> Rows:
    """Whole numbers that add up to `count`, nearest to `shares` of it: by largest remainder, earlier ones first."""
    exact = shares * count
    found = np.floor(exact + 1e-9).astype(np.int64)
    rest = np.argsort(-(exact - found), kind="stable")[: count - int(found.sum())]
    found[rest] += 1
    return found


_CHOICES: dict[type[Selector], Callable[[Any, Left], Mask]] = {
    SampleStep: _sample,
    Top: _top,
    Quantile: _quantile,
    Balance: _balance,
    Frequency: _frequency,
    Mixture: _mixture,
}
