"""Selectors in a whole run: they end a pass, what they leave out is dropped under their name, a what-if asks anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys import fates_of, go, sizes, write_source
from small_pictures import picture

from sluice.errors import PlanError
from sluice.store.opened import Run
from sluice.store.whatif import what_if

STEPS = """
  - keep: image_width_px >= 45
  - top: {by: image_width_px, count: 6, name: widest}
  - quantile: {by: image_width_px, high: 0.5}
"""


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    write_source(tmp_path / "in", "folder", sizes(*range(40, 90, 5)))
    return tmp_path


def test_each_chooses_among_what_the_one_before_it_left(ten: Path) -> None:
    summary = go(ten, STEPS)
    assert (summary["read"], summary["kept"], summary["dropped"]) == (10, 3, 7)
    assert summary["by_rule"] == {
        "image_width_px >= 45": 1,
        "widest": 3,
        "quantile 0 to 0.5 of image_width_px": 3,
    }
    kept = [key for key, row in fates_of(ten / "out").items() if row["fate"] == "kept"]
    assert kept == ["s04", "s05", "s06"]


def test_other_rules_choose_among_others(ten: Path) -> None:
    go(ten, STEPS)
    fates = what_if(Run.open(str(ten / "out")), ["image_width_px <= 60"])
    assert fates.counts()["kept"] == 3
    assert fates.kept.tolist()[:5] == [True, True, True, False, False]


def test_fewer_samples_are_measured_after_a_selector(ten: Path) -> None:
    steps = (
        "  - top: {by: image_width_px, count: 4}\n  - balance: {by: image_format, max_per: 3, keep_by: first}"
    )
    assert go(ten, steps)["kept"] == 3


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("top: {by: image_phash, count: 3}", "cannot look at 'image_phash'"),
        ("top: {by: image_widht_px, count: 3}", "did you mean 'image_width_px'"),
        ("balance: {by: image_descriptor, max_per: 3}", "give `clusters: 100`"),
        ("balance: {by: image_format, max_per: 3, clusters: 4}", "leave `clusters` out"),
        (
            "balance: {by: image_format, max_per: 3, keep_by: image_phash desc}",
            "cannot look at 'image_phash'",
        ),
        ("quantile: {by: image_format, low: 0.5}", "looks at: number"),
    ],
)
def test_what_cannot_be_chosen_by_is_refused_before_any_work(ten: Path, step: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        go(ten, f"  - {step}")
    assert not (ten / "out").exists()


def test_clusters_of_an_embedding_are_labels(tmp_path: Path) -> None:
    pictures = {f"s{k}.jpg": picture(k // 5, 64) for k in range(10)}  # two pictures, five times each
    (tmp_path / "in").mkdir()
    for name, data in pictures.items():
        (tmp_path / "in" / name).write_bytes(data)
    steps = "  - balance: {by: image_descriptor, max_per: 2, clusters: 2, keep_by: first}"
    assert go(tmp_path, steps)["kept"] == 4
    kept = sorted(key for key, row in fates_of(tmp_path / "out").items() if row["fate"] == "kept")
    assert kept == ["s0", "s1", "s5", "s6"]
