"""Fates from stored columns: pairs are compared once, samples drawn by their own luck, what is not known is counted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from journeys import fates_of, go, sizes, write_source

from sluice.errors import MissingError, PlanError
from sluice.store.opened import Run
from sluice.store.whatif import what_if

DEDUP = "  - keep: image_width_px >= %d\n  - dedup: {by: image_phash, distance: 4}"


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Six pictures, each there twice."""
    six = sizes(40, 50, 60, 70, 80, 90)
    write_source(tmp_path / "in", "folder", [*six, *six])
    return tmp_path


def compared(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "sluice-store/pairs").rglob("*.compared"))


def test_pairs_of_more_samples_serve_fewer(copies: Path) -> None:
    assert go(copies, DEDUP % 1)["duplicate"] == 6
    first = compared(copies)
    assert go(copies, DEDUP % 65, update=True)["duplicate"] == 3
    assert compared(copies) == first
    assert what_if(Run.open(str(copies / "out")), ["image_width_px >= 85"]).counts()["duplicate"] == 1


def test_pairs_of_fewer_samples_do_not_serve_more(copies: Path) -> None:
    assert go(copies, DEDUP % 65)["duplicate"] == 3
    asked = what_if(Run.open(str(copies / "out")), ["image_width_px >= 1"])
    assert asked.never_compared == 6
    assert go(copies, DEDUP % 1, update=True)["duplicate"] == 6
    assert len(compared(copies)) == 2
    # Of two that serve, the smaller does; either gives the same.
    assert go(copies, DEDUP % 65, update=True)["duplicate"] == 3


def test_a_sample_is_drawn_by_its_own_luck(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(*range(40, 60)))

    def drawn(steps: str, **options: Any) -> set[str]:
        go(tmp_path, steps, update=True, **options)
        return {key for key, row in fates_of(tmp_path / "out").items() if row["fate"] == "kept"}

    half = drawn("  - sample: {fraction: 0.5, seed: 7}")
    assert 3 <= len(half) <= 17
    assert half <= drawn("  - sample: {fraction: 0.8, seed: 7}")
    assert half != drawn("  - sample: {fraction: 0.5, seed: 8}")
    wide = drawn("  - keep: image_width_px >= 50\n  - sample: {fraction: 0.5, seed: 7}")
    assert wide == {key for key in half if key >= "s10"}
    assert len(drawn("  - sample: {fraction: 1.0}")) == 20
    few = drawn("  - sample: {count: 3, seed: 7}")
    assert len(few) == 3
    assert few < drawn("  - sample: {count: 5, seed: 7}")
    assert len(drawn("  - sample: {count: 99, seed: 7}")) == 20


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("dedup: {by: image_phash, distance: 4, keep_by: centroid_far}", "looks at vectors"),
        ("dedup: {by: size_bytes, level: item, drop_sample_above: 0}", "of the sample, not of its items"),
        ("dedup: {by: image_phash, similarity: 0.9}", "takes `distance:`"),
        ("dedup: image_descriptor", "takes `similarity:`"),
        (
            "dedup: {by: image_descriptor, similarity: 0.9, keep_by: centroid_far, level: item,"
            " drop_sample_above: 0}",
            "whole samples",
        ),
        ("dedup: {by: image_width_px, keep_by: image_descriptor desc}", "no order"),
        ("dedup: {by: image_descriptor, similarity: 0.9, with: {floor: 0.95}}", "lies above"),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_work(copies: Path, step: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        go(copies, f"  - measure: image_descriptor\n  - {step}")
    assert not (copies / "out").exists()


def test_a_device_that_is_not_here_is_missed_before_any_work(
    copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(MissingError, match="no CUDA device"):
        go(copies, "  - dedup: {by: image_descriptor, similarity: 0.9, with: {device: cuda}}")
    assert not (copies / "out").exists()


def test_keep_by_decides_who_stays(copies: Path) -> None:
    steps = "  - measure: image_width_px\n  - dedup: {by: image_height_px, keep_by: image_width_px desc}"
    found = go(copies, steps)
    kept = [key for key, row in fates_of(copies / "out").items() if row["fate"] == "kept"]
    assert (kept, found["duplicate"]) == (["s05"], 11)


def test_verdicts_are_in_source_order(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(*([40, 60] * 10)))
    go(tmp_path, "  - keep: image_width_px >= 50")
    table = Run.open(str(tmp_path / "out")).table
    fates = what_if(Run.open(str(tmp_path / "out")), ["image_width_px >= 50"])
    assert np.flatnonzero(fates.kept).tolist() == list(range(1, 20, 2))
    assert len(table) == 20
