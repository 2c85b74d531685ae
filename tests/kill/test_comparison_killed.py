"""A long comparison that is killed goes on where it was, and finds what it would have found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
from vector_tables import vector_table

from processes import until
from sluice.operator import Registry
from sluice.ops.dedup.cosine import cosine
from sluice.storage import Location
from sluice.store.entries import Entries
from sluice.store.pairs import Compared, Parts, near_pairs
from sluice.store.table import Table

TESTS = Path(__file__).resolve().parents[1]
N = 12_000


def compare(folder: str, store: str) -> Compared:
    """Compare all vectors of a table in clusters."""
    settings = {"similarity": 0.9, "exact_below": 0, "trials": 0, "device": "cpu"}
    entries = Entries.of(Table(Location(folder)), "embedding")
    instance = Registry([cosine.spec]).bind("cosine", settings)
    return near_pairs(entries, np.ones(N, bool), instance, Location(store))


def test_finished_clusters_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N, 96)).astype(np.float32)
    vectors[N // 2 :] = vectors[: N // 2] + rng.normal(size=(N // 2, 96)).astype(np.float32) * 0.2
    table, store = str(tmp_path / "table"), tmp_path / "store"
    vector_table(tmp_path / "table", vectors)
    code = f"import sys; sys.path[:0] = {[str(Path(__file__).parent), str(TESTS)]}\n"
    code += f"from test_comparison_killed import compare; compare({table!r}, {str(store)!r})"
    driver = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(TESTS.parent / "src")}
    )

    def finished() -> list[Path]:
        return sorted(store.glob("pairs/*/*/part-*.parquet"))

    assert until(lambda: len(finished()) >= 5 or driver.poll() is not None, 60)
    driver.kill()
    assert driver.wait() == -9
    kept = finished()
    assert 5 <= len(kept) < 64
    assert not list(store.glob("pairs/*/*.json"))
    # One finished part is robbed of its pairs, so that it shows whether it is used.
    parts = Parts(Location(str(kept[0].parent)))
    columns, facts = parts.load(kept[0].stem) or ({}, {})
    assert len(columns["a"])
    parts.save(kept[0].stem, {name: values[:0] for name, values in columns.items()}, facts)

    resumed, whole = compare(table, str(store)).pairs, compare(table, str(tmp_path / "other")).pairs
    near = columns["score"] >= np.float32(0.9)
    robbed = {
        (min(pair), max(pair))
        for pair in zip(columns["a"][near].tolist(), columns["b"][near].tolist(), strict=True)
    }
    found, everything = (set(zip(p.a.tolist(), p.b.tolist(), strict=True)) for p in (resumed, whole))
    assert robbed
    assert found == everything - robbed
    assert not finished()
