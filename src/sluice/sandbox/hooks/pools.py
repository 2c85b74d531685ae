"""Which samples are each arm's?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from sluice.errors import UsageError
from sluice.recipe.steps import Part
from sluice.sandbox.hooks.process import run_of
from sluice.sandbox.pools import (
    CONTROL,
    PARTS,
    RATES,
    Lattice,
    Pool,
    Strategy,
    control_pool,
    draw_keys,
    drawn,
    expand,
    lattice,
    mixture,
    single_pools,
    tiers,
)
from sluice.sandbox.pools.measures import Among, Measures, measures_of_run, measures_of_table
from sluice.sandbox.recommend import best_conditions
from sluice.sandbox.registry import Outlook, hook
from sluice.sandbox.workflow.job import Job


class Pyramid(Part):
    """Growing the best tier: `base` samples (default: the common size) times each rate, by each strategy."""

    rates: tuple[float, ...] = RATES
    strategies: tuple[Strategy, ...] = ("repeat", "extend")
    base: int | None = Field(None, ge=1)


def _outlook(job: Job, taken: Mapping[str, Any], settings: Mapping[str, Any]) -> Outlook:
    """The names of the pools that there would be; those of missing values are only known once values are."""
    names = [CONTROL, *(f"{CONTROL}-{n}" for n in range(2, settings["controls"] + 1))]
    names += [f"{measure}-{part}" for measure in settings["measures"] for part in PARTS[:3]]
    conditions = settings["conditions"]
    sizes = range(2, len(conditions) + 1)
    names += ["+".join(some) for size in sizes for some in combinations(conditions, size)]
    if grown := settings["pyramid"]:
        names += [f"{strategy}-{rate:g}x" for strategy in grown.strategies for rate in grown.rates]
    return Outlook(results={"pools": [*names, *(settings["mixtures"] or ())]})


@hook(gives=("pools",), outlook=_outlook)
def pools(
    job: Job,
    processed: Mapping[str, Any] | None = None,
    ranking: Mapping[str, Any] | None = None,
    clusters: Mapping[str, Any] | None = None,
    *,
    run: str | None = None,
    table: str | None = None,
    measures: tuple[str, ...] = (),
    among: Among = "kept",
    seed: int = 42,
    cap: Annotated[int, Field(ge=1)] | None = None,
    least: Annotated[int, Field(ge=1)] = 1,
    controls: Annotated[int, Field(ge=1)] = 1,
    conditions: tuple[str, ...] = (),
    top: Annotated[int, Field(ge=1)] = 3,
    pyramid: Pyramid | None = None,
    mixtures: dict[str, dict[str, float]] | None = None,
) -> dict[str, Any]:
    """Draw pools from a measured run (`run`, or what `process` gave), or from a Parquet table of ids and measures.

    Every measure gives `{measure}-low`, `-mid`, `-high` (thirds) and `-null`; `control` is drawn from all, and with
    `controls: 2` there is a `control-2`, whose difference from it is noise. `conditions` names such thirds: the pools
    of all their combinations come with it (`a-high+b-low`), and with `pyramid` those that grow the top tier
    (`repeat-2x`, `extend-2x`). Where none are named and an earlier round chose some (`cluster_operators`, else
    `rank_operators`), the `top` of those are the conditions, and the other thirds are left out. `mixtures` are weights
    of pools. All but the grown ones are of one size: that of the
    smallest of at least `least` samples, or `cap`. With a table, `run` says where the samples' media are.
    """
    chosen = conditions or _chosen(clusters or ranking, top)
    found = _measured(processed, run, table, [*measures, *map(_measure_of, chosen)], among)
    if not len(found):
        raise UsageError("there is no sample to draw from", fix="give a run that keeps some")
    grid = _lattice(found, chosen) if chosen else None
    size = _common_size(found, grid, cap, least)
    if chosen and not conditions:
        thirds = _singles(found, tuple(dict.fromkeys(map(_measure_of, chosen))), seed, size, least)
        made = [pool for pool in thirds if pool.name in (CONTROL, *chosen)]
    else:
        made = _singles(found, measures, seed, size, least)
    size = len(made[0])
    made += [
        control_pool(found.ids, seed=seed, size=size, name=f"{CONTROL}-{n}") for n in range(2, controls + 1)
    ]
    if grid is not None:
        made += _combinations(found, grid, size, seed)
    if pyramid is not None:
        made += _grown(found, grid, pyramid, size, seed)
    by_name = {pool.name: pool for pool in made}
    made += [
        mixture(name, by_name, weights, size=size, seed=seed) for name, weights in (mixtures or {}).items()
    ]
    folder = job.folder / "pools"
    folder.mkdir()
    for pool in made:
        replace(pool, origin={**pool.origin, "run": found.run}).write(folder / f"{pool.name}.parquet")
    notes = [f"{pool.name}: {note}" for pool in made if (note := pool.origin.get("note"))]
    job.say(f"{len(made)} pools of {len(found):,} samples, {size:,} each")
    for note in notes:
        job.say(note)
    return {"pools": folder}


def _measured(
    processed: Mapping[str, Any] | None,
    run: str | None,
    table: str | None,
    names: list[str],
    among: Among,
) -> Measures:
    place = run_of(processed, run)
    if table is not None:
        return measures_of_table(table, names, place)
    if place is None:
        raise UsageError(
            "there is nothing to draw pools from",
            fix="give `run: PATH` or `table: FILE`, or a job before with the hook `process`",
        )
    return measures_of_run(place, names, among)


def _chosen(earlier: Mapping[str, Any] | None, top: int) -> tuple[str, ...]:
    return best_conditions(earlier, top) if earlier is not None else ()


def _measure_of(condition: str) -> str:
    name, dash, part = condition.rpartition("-")
    if not dash or part not in PARTS:
        raise UsageError(
            f"the condition {condition!r} names no third of a measure",
            fix="write it as in image_sharpness-high (low, mid, high or null)",
        )
    return name


def _lattice(found: Measures, conditions: tuple[str, ...]) -> Lattice:
    members = {c: found.thirds(_measure_of(c)).part(c.rpartition("-")[2]) for c in conditions}
    return lattice(len(found), members)


def _common_size(found: Measures, grid: Lattice | None, cap: int | None, least: int) -> int | None:
    """What pools of several conditions leave to all others; the rest is `single_pools`' own business."""
    sizes = [len(grid.members(c)) for c in grid.combinations() if len(c) > 1] if grid else []
    sizes = [size for size in sizes if size >= least] + ([cap] if cap else [])
    return min(sizes, default=None)


def _singles(
    found: Measures, measures: tuple[str, ...], seed: int, size: int | None, least: int
) -> list[Pool]:
    """The control first, and after it the thirds of every measure."""
    if measures:
        return single_pools(
            found.ids, {m: found.thirds(m) for m in measures}, seed=seed, cap=size, least=least
        )
    return [control_pool(found.ids, seed=seed, size=size or len(found))]


def _combinations(found: Measures, grid: Lattice, size: int, seed: int) -> Iterator[Pool]:
    keys = draw_keys(found.ids, seed)
    thirds = {m: found.thirds(m) for m in map(_measure_of, grid.names)}
    cuts = {m: (of.low_max, of.mid_max) for m, of in thirds.items()}
    for names in grid.combinations():
        if len(names) > 1:
            among = grid.members(names)
            note = f"{len(among)} samples of a common size of {size}" if len(among) < size else ""
            origin = {
                "kind": "lattice",
                "conditions": list(names),
                "cuts": {m: cuts[m] for m in map(_measure_of, names)},
                "of": len(among),
                "lift": _finite(grid.lift(names)),
                "note": note,
                "seed": seed,
            }
            yield _pool(found, "+".join(names), drawn(keys, among, size), origin)


def _grown(found: Measures, grid: Lattice | None, pyramid: Pyramid, size: int, seed: int) -> Iterator[Pool]:
    if grid is None:
        raise UsageError("a pyramid needs conditions to be built of", fix="give `conditions`")
    levels = tiers(grid)
    keys, base = draw_keys(found.ids, seed), pyramid.base or size
    for strategy in pyramid.strategies:
        for rate in pyramid.rates:
            grown = expand(levels, keys, base=base, rate=rate, strategy=strategy)
            origin = {
                "kind": strategy,
                "rate": rate,
                "base": base,
                "conditions": list(grid.names),
                "shares": {str(level): share for level, share in grown.shares.items()},
                "note": grown.note,
                "seed": seed,
            }
            yield _pool(found, f"{strategy}-{rate:g}x", grown.members, origin)


def _pool(found: Measures, name: str, members: NDArray[np.int64], origin: Mapping[str, Any]) -> Pool:
    return Pool(name, found.ids.take(pa.array(members)), origin)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def arms_of(pools: Path | Sequence[str]) -> list[str]:
    """The names of the pools in a folder, or of those that are foreseen."""
    if not isinstance(pools, Path):
        return list(pools)
    return sorted((file.stem for file in pools.glob("*.parquet")), key=lambda name: (name != CONTROL, name))


def read_pools(folder: Path) -> dict[str, Pool]:
    """The pools that the hook left in a folder, by name; the control comes first."""
    found = [Pool.read(file) for file in sorted(folder.glob("*.parquet"))]
    return {p.name: p for p in sorted(found, key=lambda p: (p.name != CONTROL, p.name))}
