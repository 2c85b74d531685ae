"""Clips that show the same: the one of the highest resolution stays, and of a chain no more falls than must."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journeys import balanced, fates_of, go, write_tar

import tiny_models
from made_videos import made, scenes
from sluice.ops.dedup.cosine import cosine
from sluice.recipe.steps import Dedup
from sluice.store.groups import keep_order, resolve

HIGHEST = Dedup(by="video_embedding", similarity=0.9, keep_by="highest_resolution").keep_by
COLUMNS = [name for name, _ in Dedup(by="x", similarity=0.9, keep_by="highest_resolution").order]


@st.composite
def clips(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[int, int, int | None]], float]:
    """Directions in a plane, so that chains of near ones are common; sizes and bitrates, of which many are equal."""
    degrees = draw(st.lists(st.integers(0, 90), min_size=1, max_size=25))
    angles = np.deg2rad(degrees)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    size = st.tuples(st.sampled_from([360, 720]), st.sampled_from([640, 1280]), st.sampled_from([None, 1, 2]))
    sizes = draw(st.lists(size, min_size=len(degrees), max_size=len(degrees)))
    return vectors, sizes, float(np.cos(np.deg2rad(draw(st.integers(0, 20)) + 0.5)))


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(clips())
def test_no_kept_pair_is_near_and_every_dropped_clip_has_a_kept_better_one(
    case: tuple[np.ndarray, list[tuple[int, int, int | None]], float],
) -> None:
    vectors, sizes, similarity = case
    columns = {name: pa.array(values) for name, values in zip(COLUMNS, zip(*sizes, strict=True), strict=True)}
    order = keep_order(columns, [str(k) for k in range(len(sizes))], HIGHEST)
    groups = resolve(len(sizes), cosine(vectors, similarity=similarity), order)
    near = vectors.astype(np.float64) @ vectors.T.astype(np.float64) >= similarity
    kept = np.flatnonzero(groups.duplicate_of < 0)
    assert near[np.ix_(kept, kept)].sum() == len(kept), "only itself"
    for row in np.flatnonzero(groups.duplicate_of >= 0):
        keeper = groups.duplicate_of[row]
        assert keeper in kept
        assert near[row, keeper]
        assert rank(sizes[keeper]) >= rank(sizes[row])


def rank(size: tuple[int, int, int | None]) -> tuple[int, int, int]:
    height, width, bitrate = size
    return height, width, -1 if bitrate is None else bitrate


def source(tmp_path: Path) -> Path:
    """One video as small, as large, as large with more bits, and cut short; another one."""
    lengths = [10, 15, 10]
    large = made(scenes(lengths, 320, 192), fps=10, options={"crf": "10"})
    files = {
        "a.mp4": made(scenes(lengths, 160, 96), fps=10),
        "b.mp4": made(scenes(lengths, 320, 192), fps=10, options={"crf": "35"}),
        "c.mp4": large,
        "d.mp4": made(scenes(lengths, 160, 96, seed=9), fps=10),
        "e.mp4": large[: len(large) // 2],
    }
    write_tar(tmp_path / "in/a.tar", files)
    return tmp_path


def test_of_copies_the_highest_resolution_stays_then_the_most_bits(tmp_path: Path) -> None:
    step = "  - dedup: {by: video_descriptor, similarity: 0.95, keep_by: highest_resolution}"
    assert balanced(go(source(tmp_path), step))
    fates = {key: fate["fate"] for key, fate in fates_of(tmp_path / "out").items()}
    assert fates == {"a": "duplicate", "b": "duplicate", "c": "kept", "d": "kept", "e": "failed"}


@pytest.mark.parametrize("keep_by", ["highest_resolution", "first"])
def test_learned_embeddings_stand_beside_the_clips_that_stay(tmp_path: Path, keep_by: str) -> None:
    model = tiny_models.clip(tmp_path / "clip")
    steps = (
        f"  - measure: {{video_embedding: {{frames: 4, with: {{clip: {{model: {model}}}}}}}}}\n"
        f"  - dedup: {{by: video_embedding, similarity: 0.999, keep_by: {keep_by}}}"
    )
    go(source(tmp_path), steps, write="format: clips, embeddings: float32")
    fates = fates_of(tmp_path / "out")
    best = {"highest_resolution": "c", "first": "a"}[keep_by]
    assert fates[best]["fate"] == "kept"
    kept = [fate["id"] for fate in fates.values() if fate["fate"] == "kept"]
    paths = sorted((tmp_path / "out" / "embeddings").rglob("*.parquet"))
    written = pa.concat_tables([pq.read_table(path) for path in paths])
    assert written.column("id").to_pylist() == kept
    vectors = np.array(written.column("embedding").to_pylist())
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(kept)))
    products = vectors @ vectors.T
    assert products[~np.eye(len(kept), dtype=bool)].max(initial=-1) < 0.999
