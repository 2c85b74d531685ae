"""Stored values: any rows, in order, by the block, wherever the file's row groups end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.store import values as module
from sluice.store.values import StoredValues

COUNT = 40


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of `COUNT` values, each the bytes of its row, in row groups of seven."""
    path = tmp_path_factory.mktemp("values") / "binary-x.parquet"
    table = pa.table({"binary": pa.array([bytes([row]) for row in range(COUNT)], pa.large_binary())})
    pq.write_table(table, path, row_group_size=7)
    return path


@given(st.sets(st.integers(0, COUNT - 1)), st.data(), st.integers(1, 9))
@settings(deadline=None)
def test_the_rows_asked_for_come_in_order(
    path: Path, chosen: set[int], data: st.DataObject, size: int
) -> None:
    rows = np.array(sorted(chosen), np.int64)
    asked = np.array(sorted(data.draw(st.sets(st.integers(0, max(len(rows) - 1, 0)))) if chosen else []), int)
    stored = StoredValues(path, "binary", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", 13 * size)
        blocks = [block.to_pylist() for block in stored.take(asked)]
        everything = [value for block in stored.blocks() for value in block.to_pylist()]
    assert all(0 < len(block) <= size for block in blocks)
    assert [value for block in blocks for value in block] == [bytes([row]) for row in rows[asked]]
    assert everything == [bytes([row]) for row in rows]
    assert len(stored) == len(everything)
