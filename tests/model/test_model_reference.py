"""Reference sets: read from every form, known by what they hold, refused where they are none."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import MissingError, PlanError, SampleError
from sluice.model.reference import ReferenceSet, digest, reference, unit_rows

ROWS = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _saved(folder: Path) -> dict[str, Path]:
    """One set in every form."""
    paths = {
        name: folder / name for name in ("a.npy", "a.npz", "list.parquet", "fixed.parquet", "half.parquet")
    }
    np.save(paths["a.npy"], ROWS)
    np.savez(paths["a.npz"], vectors=ROWS)
    flat = pa.array(ROWS.ravel())
    fixed = pa.FixedSizeListArray.from_arrays(flat, 5)
    pq.write_table(pa.table({"key": list("abcdefg"), "vector": fixed}), paths["fixed.parquet"])
    with_null = pa.array([None, *ROWS.tolist()], pa.list_(pa.float32()))
    pq.write_table(pa.table({"vector": with_null}), paths["list.parquet"])
    pq.write_table(pa.table({"vector": fixed.cast(pa.list_(pa.float16(), 5))}), paths["half.parquet"])
    return paths


def test_every_form_gives_the_same_set_and_the_same_digest(tmp_path: Path) -> None:
    paths = _saved(tmp_path)
    half = paths.pop("half.parquet")
    for path in paths.values():
        assert np.allclose(reference(str(path)).vectors, _unit(ROWS), atol=1e-7)
    assert len({digest(str(path)) for path in paths.values()}) == 1
    assert np.allclose(reference(str(half)).vectors, _unit(ROWS), atol=1e-3)
    assert digest(str(half)) != digest(str(paths["a.npy"]))


@given(st.integers(1, 30), st.integers(2, 8), st.integers(0, 1000))
def test_cosines_equal_their_definition(count: int, size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors = unit_rows(random.normal(size=(count, size)), "here")
    mean = vectors.astype(np.float64).mean(axis=0)
    found = ReferenceSet(vectors, mean / np.linalg.norm(mean))
    (probe,) = unit_rows(random.normal(size=(1, size)), "here")
    exact = vectors.astype(np.float64) @ probe.astype(np.float64)
    assert found.cosine(probe, "nearest") == pytest.approx(np.clip(exact.max(), -1, 1), abs=1e-12)
    expected = np.clip(exact.mean() / np.linalg.norm(mean), -1, 1)
    assert found.cosine(probe, "mean") == pytest.approx(expected, abs=1e-9)
    assert found.cosine(vectors[-1], "nearest") == pytest.approx(1, abs=1e-6)


def test_an_embedding_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    with pytest.raises(SampleError, match="holds 5 numbers each, the embedding has 4") as caught:
        reference(str(tmp_path / "a.npy")).cosine(np.ones(4, np.float32), "nearest")
    assert caught.value.reason == "embedding of another size"


def _bytes(save: Any, *arrays: Any, **named: Any) -> bytes:
    out = io.BytesIO()
    save(out, *arrays, **named)
    return out.getvalue()


def _parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


BAD = {
    "empty.npy": b"",
    "words.npy": b"words, not numbers",
    "pickled.npy": pickle.dumps(ROWS),
    "objects.npy": _bytes(np.save, np.array([{"a": 1}], dtype=object)),
    "cut.npy": _bytes(np.save, ROWS)[:100],
    "flat.npy": _bytes(np.save, ROWS[0]),
    "none.npy": _bytes(np.save, ROWS[:0]),
    "whole.npy": _bytes(np.save, np.ones((2, 2), np.int64)),
    "zero.npy": _bytes(np.save, np.vstack([ROWS, 0 * ROWS])),
    "nan.npy": _bytes(np.save, np.full((2, 3), np.nan)),
    "two.npz": _bytes(np.savez, a=ROWS, b=ROWS),
    "words.parquet": b"words",
    "no-vectors.parquet": _parquet(key=["a"]),
    "two.parquet": _parquet(a=[[1.0]], b=[[2.0]]),
    "ragged.parquet": _parquet(a=[[1.0], [1.0, 2.0]]),
    "null-inside.parquet": _parquet(a=[[1.0, None]]),
    "all-null.parquet": _parquet(a=pa.array([None], pa.list_(pa.float32()))),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_set_is_refused_by_name_before_any_work(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises(PlanError) as caught:
        digest(str(path))
    assert name in str(caught.value)


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"\.npz or \.parquet"):
        digest(str(tmp_path / "none.npy"))


def test_a_mean_without_direction_is_refused_only_where_it_is_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1.0, 0], [-1, 0]]))
    with pytest.raises(PlanError, match="no direction"):
        reference(str(tmp_path / "a.npy"), "mean")
    assert reference(str(tmp_path / "a.npy"), "nearest").cosine(np.array([0, 1], np.float32), "nearest") == 0


def test_a_folder_needs_pictures_and_someone_who_embeds_them(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(PlanError, match="without pictures"):
        digest(str(tmp_path))
    with pytest.raises(PlanError, match="is a folder"):
        reference(str(tmp_path))
