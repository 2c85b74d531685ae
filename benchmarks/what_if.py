"""What-ifs on ten million samples: five rules, thirty rules, and `why` of one key.

    python benchmarks/what_if.py [--rows 10000000] [--columns 30]

Makes a wide table as the store lays it out (once, under bench-data/), then prints the seconds of `decide` with five
rules and with a rule on every column, beside the bare DuckDB query that only counts the rows passing the same rules
(the physical limit), of finding one key, and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]


def make_table(folder: Path, rows: int, columns: int) -> None:
    """A table of `columns` float measures with one null in a thousand, in parts of about a million rows."""
    from sluice.sample import ITEM_TYPE
    from sluice.store.compact import GROUP_ROWS, PART_ROWS, parquet_writer
    from sluice.store.fragments import NOTE_TYPE

    if (folder / "index.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    parts = []
    for start in range(0, rows, PART_ROWS):
        n = min(PART_ROWS, rows - start)
        ordinal = np.arange(start, start + n)
        data: dict[str, Any] = {
            "ordinal": ordinal,
            "unit": (ordinal // 1000).astype(np.int32),
            "row": (ordinal % 1000).astype(np.int32),
            "id": [f"{o * 0x9E3779B97F4A7C15 % 2**64:016x}{o:016x}" for o in ordinal.tolist()],
            "key": [f"{o:09d}" for o in ordinal.tolist()],
            "parent": pa.nulls(n, pa.string()),
            "items": pa.nulls(n, pa.list_(ITEM_TYPE)),
            "size_bytes": random.integers(60_000, 150_000, n),
        }
        for k in range(columns):
            data[f"image_m{k:02d}"] = pa.array(random.standard_normal(n), mask=random.random(n) < 0.001)
        data["item_hashes"] = pa.nulls(n, pa.list_(pa.string()))
        data["failure"] = pa.nulls(n, pa.string())
        data["item_errors"] = np.zeros(n, np.int32)
        data["notes"] = pa.nulls(n, pa.list_(NOTE_TYPE))
        table = pa.table(data)
        name = f"part-{len(parts):05d}.parquet"
        with parquet_writer(folder / name, table.schema) as writer:
            writer.write_table(table, row_group_size=GROUP_ROWS)
        parts.append({"path": name, "rows": n})
    names = [f"image_m{k:02d}" for k in range(columns)]
    described = [
        {"name": n, "kind": "number", "modality": "image", "layout": "scalar", "mark": n, "absent": False}
        for n in names
    ]
    index = {
        "format": 1,
        "rows": rows,
        "parts": parts,
        "max_items": {"image": 1},
        "passthrough": {},
        "units_digest": "benchmark",
        "columns": described,
    }
    (folder / "index.json").write_text(json.dumps(index))


def seconds(call: Callable[[], Any], repeat: int = 3) -> float:
    """The median of some repetitions, after one to warm up."""
    call()
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return sorted(times)[repeat // 2]


def main() -> None:
    """Make the table and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=30)
    options = parser.parse_args()
    from sluice.operator import registry
    from sluice.recipe.check import Fields, FieldType, check
    from sluice.recipe.sql import compile_rule
    from sluice.recipe.steps import Keep
    from sluice.storage import Location
    from sluice.store import Table, decide
    from sluice.store.rules import layout_of

    folder = ROOT / "bench-data" / f"wide-{options.rows}-{options.columns}"
    make_table(folder, options.rows, options.columns)
    table = Table(Location(folder))
    fields = {n: FieldType(n, "number", "item", "image") for n in table.columns}
    print(f"{len(os.sched_getaffinity(0))} cores, {options.rows:,} rows x {options.columns} columns")
    nowhere = Location(folder / "none")
    for count in (5, options.columns):
        steps = [Keep.model_validate({"rule": f"image_m{k:02d} >= {-2.5 + k / 50}"}) for k in range(count)]
        rules = {n: check(s.parsed, Fields(fields)) for n, s in enumerate(steps)}
        ours = seconds(lambda s=steps, r=rules: decide(table, s, r, registry(), nowhere, compare=False))
        connection = table.connect()
        layout = layout_of(table)
        sql = " AND ".join(compile_rule(rules[n], layout) for n in rules)
        theirs = seconds(
            lambda q=sql, c=connection: c.execute(f"SELECT count(*) FROM samples WHERE {q}").fetchall()
        )
        print(f"{count:2} rules: {ours:.2f} s; bare DuckDB count {theirs:.2f} s; ratio {ours / theirs:.1f}")
    key = f"{options.rows // 3:09d}"
    print(f"key index: first look-up {seconds_once(lambda: table.find(key)):.2f} s, then ", end="")
    print(f"{seconds(lambda: table.rows(table.find(key))) * 1e3:.1f} ms to find and read one sample's row")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def seconds_once(call: Callable[[], Any]) -> float:
    """One call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
