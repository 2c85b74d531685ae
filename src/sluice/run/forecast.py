"""What a run would do, before it does it: units, passes and what is known; and a forecast from a seeded probe."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from sluice.model.used import needed
from sluice.operator import Instance
from sluice.plan import MeasurePass, Unit, idle_rules
from sluice.plan.columns import columns_of
from sluice.recipe.selectors import SampleStep
from sluice.recipe.steps import Dedup, Measure
from sluice.run.engine import Engine
from sluice.run.execute import Options, execute
from sluice.run.prepare import Prepared
from sluice.storage import Location
from sluice.storage.scratch import scratch
from sluice.store import Fragment, RunDir, Table, step_name

UNKNOWN_UNIT_SAMPLES = 1000
"""What a unit that was not counted yet (a compressed or remote shard) is taken to hold when units are drawn."""

Z_95 = 1.959963984540054
"""The normal distribution's 97.5 % quantile: 95 % lie within ± this many standard deviations."""


def outlook(prepared: Prepared) -> dict[str, Any]:
    """What a run of this recipe would do, from listing alone: no media is read.

    Per operator `units_to_compute` of all `units` (0: the store knows it all); a gated operator computes only
    the samples that pass its gates, so that number is an upper bound. `models` are those that operators name,
    with where each is (`path`, null where it is not on this machine) and where it was looked for.
    """
    units = prepared.units
    known = _known_marks(prepared)
    counts = [_samples(unit) for unit in units]
    steps = prepared.recipe.steps
    return {
        "recipe": prepared.recipe.title,
        "source": {"path": prepared.source.url, "format": prepared.source.format},
        "output": prepared.run.output.url,
        "store": prepared.store.url,
        "units": len(units),
        "samples": None if None in counts else sum(c or 0 for c in counts),
        "size_bytes": sum(unit.slice.size_bytes for unit in units),
        "steps": [
            {"kind": s.key, "name": step_name(n, s)}
            for n, s in enumerate(steps)
            if not isinstance(s, Measure)
        ],
        "passes": [_pass(prepared, each, known) for each in prepared.plan.passes],
        "models": needed(_operators(prepared)),
        "warnings": idle_rules(prepared.plan),
        "units_known": sum(_is_known(prepared, marks) for marks in known),
    }


def _operators(prepared: Prepared) -> Iterator[Instance]:
    mappers = prepared.plan.mappers
    yield from (*prepared.plan.instances, *mappers.leading.values(), *mappers.trailing.values())


def _samples(unit: Unit) -> int | None:
    return unit.max_rows if unit.max_rows is not None else unit.slice.samples


def _known_marks(prepared: Prepared) -> list[frozenset[str]]:
    """For each unit the marks of the columns that are stored for all its rows, in one fragment or by parts."""
    return [frozenset(_held(prepared.known.of(unit))) for unit in prepared.units]


def _held(fragments: Sequence[Fragment]) -> Iterator[str]:
    yield from (mark for f in fragments if f.whole for mark in f.marks)
    rows = max((f.rows for f in fragments if f.whole), default=0)
    by_parts: Counter[str] = Counter()
    for part in fragments:  # of dear operators, which never say that they hold all rows
        by_parts.update(dict.fromkeys(part.marks, part.rows))
    yield from (mark for mark, count in by_parts.items() if count == rows)


def _is_known(prepared: Prepared, marks: frozenset[str]) -> bool:
    cheap = [c.mark for p in prepared.plan.passes for c in columns_of(p.cheap)]
    return f"{prepared.known.base_mark}:id" in marks and marks.issuperset(cheap)


def _pass(prepared: Prepared, of: MeasurePass, known: Sequence[frozenset[str]]) -> dict[str, Any]:
    names = [step_name(n, s) for n, s in enumerate(prepared.recipe.steps)]
    gates = {g.instance: [names[n] for n in g.gates] for g in of.gated}
    operators = [
        {
            "operator": i.spec.name,
            "columns": [o.name for o in i.outputs],
            "cost": i.cost,
            "settings": dict(i.settings),
            "gates": gates.get(i, []),
            "units_to_compute": sum(any(c.mark not in marks for c in columns_of([i])) for marks in known),
        }
        for i in of.instances
    ]
    return {"after_steps": of.after, "operators": operators, "shared": _shared(of.instances)}


def _shared(instances: Sequence[Instance]) -> list[dict[str, Any]]:
    """Features that several operators of a pass use and that are computed once for all of them."""
    users: dict[tuple[str, str], list[str]] = {}
    for instance in instances:
        for used in instance.closure():
            if used is not instance:
                users.setdefault((used.spec.name, used.fingerprint), []).append(
                    instance.alias or instance.spec.name
                )
    return [{"feature": name, "used_by": by} for (name, _), by in users.items() if len(by) > 1]


def draw(units: Sequence[Unit], samples: int, seed: int = 0) -> tuple[Unit, ...]:
    """Units in a seeded random order until they hold `samples`; at least one, in source order.

    The order comes from a hash of each unit's key, so that a larger probe contains the smaller one.
    """
    by_luck = sorted(units, key=lambda u: xxhash.xxh3_64_intdigest(u.key.encode(), seed=seed))
    chosen: list[Unit] = []
    held = 0
    for unit in by_luck:
        if chosen and held >= samples:
            break
        chosen.append(unit)
        held += _samples(unit) or UNKNOWN_UNIT_SAMPLES
    return tuple(sorted(chosen, key=lambda u: u.index))


@dataclass(frozen=True)
class Share:
    """A share of the samples with its 95 % interval, and what that is of all samples."""

    share: float
    low: float
    high: float
    samples: int


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The Wilson score interval at 95 % of a share (Wilson, JASA 22, 1927); (0, 1) where nothing was seen."""
    if of == 0:
        return 0.0, 1.0
    p, z2 = hits / of, Z_95 * Z_95
    centre = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = Z_95 / (1 + z2 / of) * math.sqrt(p * (1 - p) / of + z2 / (4 * of * of))
    # At the ends the interval touches 0 or 1 exactly; floating point would miss by a hair.
    return (0.0 if hits == 0 else max(0.0, centre - half)), (1.0 if hits == of else min(1.0, centre + half))


def probe(
    prepared: Prepared, samples: int, engine: Engine, *, seed: int = 0, quiet: bool = False
) -> dict[str, Any]:
    """Measure a seeded choice of units into the store, and say what a whole run would come to.

    Intervals are Wilson's at 95 % and take samples to be independent: where units differ much from each other
    the truth may lie further away. A deduplication sees only the twins within the probe: its share is a lower
    bound. `hours` (with these workers, start-up included) is None where nothing had to be measured.
    """
    chosen = draw(prepared.units, samples, seed)
    with scratch("sluice-probe") as folder:
        place = Location(folder)
        small = replace(
            prepared,
            recipe=prepared.recipe.replace(write=None, max_failed=None),
            units=chosen,
            run=RunDir.of(place),
        )
        summary = execute(small, engine, Options(quiet=quiet))
        bytes_of = _bytes_by_fate(small, summary)
    seen = int(summary["read"])
    read_bytes = sum(u.slice.size_bytes for u in prepared.units)
    probed_bytes = sum(u.slice.size_bytes for u in chosen)
    total = _total(prepared.units, seen, probed_bytes, read_bytes, prepared.known.splits)

    def share(hits: int) -> dict[str, Any]:
        low, high = wilson(hits, seen)
        return asdict(Share(hits / seen if seen else 0.0, low, high, round(total * hits / max(seen, 1))))

    kept = share(int(summary["kept"]))
    per_kept = bytes_of["kept"] / max(int(summary["kept"]), 1)
    return {
        "probed": {"units": len(chosen), "samples": seen, "size_bytes": probed_bytes, "seed": seed},
        "samples": total,
        **{fate: share(int(summary[fate])) for fate in ("kept", "dropped", "duplicate", "failed")},
        "rules": [_rule(prepared, each, share) for each in summary["yields"]],
        "hours": _hours(summary, total - seen),
        "spend": {name: amount * total / max(seen, 1) for name, amount in summary["spent"].items()},
        "read_bytes": read_bytes,
        "write_bytes": {name: round(kept[name] * total * per_kept) for name in ("share", "low", "high")},
    }


def _rule(prepared: Prepared, found: Mapping[str, Any], share: Any) -> dict[str, Any]:
    step = prepared.recipe.steps[found["step"]]
    return {
        "name": found["name"],
        "left": share(found["kept"]),
        "fell_here_first": share(found["first_failing"]),
        "fail_it": share(found["alone"]),
        "lower_bound": isinstance(step, Dedup),
        "exact": isinstance(step, SampleStep),
    }


def _total(units: Sequence[Unit], seen: int, probed_bytes: int, read_bytes: int, splits: bool) -> int:
    """All samples: counted where listing tells, else (of a splitter always) by the bytes of one in the probe."""
    counts = [_samples(unit) for unit in units]
    if None not in counts and not splits:
        return sum(c or 0 for c in counts)
    return round(seen * read_bytes / probed_bytes) if probed_bytes else seen


def _hours(summary: Mapping[str, Any], left: int) -> float | None:
    steps = [s for s in summary["steps"] if s["name"].startswith("measure") and s["items"]]
    measured = int(sum(s["items"] for s in steps if s["name"] == "measure"))
    if not measured:
        return None
    seconds: float = sum(s["seconds"] for s in steps)
    return seconds / measured * left / 3600


def _bytes_by_fate(prepared: Prepared, summary: Mapping[str, Any]) -> dict[str, int]:
    table = Table(Location(summary["table"]))
    sizes = pa.concat_tables([pq.read_table(path, columns=["size_bytes"]) for path in table.paths()])
    fates = pq.read_table(prepared.run.selection.path, columns=["fate"]).column("fate")
    both = pa.table({"fate": fates, "size": sizes.column("size_bytes")})
    sums = both.group_by("fate").aggregate([("size", "sum")]).to_pylist()
    return {"kept": 0} | {row["fate"]: int(row["size_sum"] or 0) for row in sums}
