"""What is known is not computed again: whatever changes, only what it touches is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from journeys import go, measured, sizes, values_of, write_source, write_tar
from small_pictures import picture

STEPS = "  - keep: image_width_px >= 40\n  - keep: image_entropy >= 1\n  - dedup: image_content_hash"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "in", "folder", sizes(30, 40, 50, 60, 70))


def test_nothing_changed_measures_nothing(tmp_path: Path, source: Path) -> None:
    first = go(tmp_path, STEPS)
    assert measured(first) == 5
    again = go(tmp_path, STEPS)
    assert measured(again) == 0
    assert {k: again[k] for k in ("read", "kept", "by_rule")} == {
        k: first[k] for k in ("read", "kept", "by_rule")
    }


@pytest.mark.parametrize("other_output", [False, True])
def test_another_threshold_reads_no_media(tmp_path: Path, source: Path, other_output: bool) -> None:
    go(tmp_path, STEPS)
    # The same names, sizes and times, but nothing of the pictures is left to be read. Nobody's kept either.
    for path in source.iterdir():
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = STEPS.replace(">= 40", ">= 9999")
    output = tmp_path / ("other" if other_output else "out")
    found = go(tmp_path, changed, output=output, store=str(tmp_path / "sluice-store"), update=True)
    assert measured(found) == 0
    assert (found["dropped"], found["failed"]) == (5, 0)


def test_another_setting_computes_that_column_alone(tmp_path: Path, source: Path) -> None:
    steps = "  - measure: [image_sharpness, {image_flat_border_ratio: {tolerance: %d}}]"
    go(tmp_path, steps % 4)
    again = go(tmp_path, steps % 200, update=True)
    assert measured(again) == 5
    spent = {c["operator"] for c in again["cost"]}
    assert "image_flat_border_ratio" in spent
    assert "image_sharpness" not in spent
    assert set(values_of(tmp_path / "out", "image_flat_border_ratio").values()) == {1.0}


def test_an_added_shard_alone_is_measured(tmp_path: Path) -> None:
    for k in range(2):
        write_tar(tmp_path / f"in/{k}.tar", {f"{k}-{i}.jpg": picture(10 * k + i) for i in range(3)})
    assert measured(go(tmp_path, STEPS)) == 6
    write_tar(tmp_path / "in/1b.tar", {f"b-{i}.jpg": picture(50 + i) for i in range(2)})
    added = go(tmp_path, STEPS, update=True)
    assert (measured(added), added["read"], added["kept"]) == (2, 8, 8)


def test_one_new_file_among_three_thousand_touches_few_units(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(3000):
        (folder / f"{k:04d}.txt").write_text(f"text {k}")
    steps = "  - keep: text_length >= 6"
    assert measured(go(tmp_path, steps)) == 3000
    (folder / "1500b.txt").write_text("something new")
    added = go(tmp_path, steps, update=True)
    assert added["read"] == 3001
    assert 1 <= measured(added) <= 2000  # two units: the new file's, and the next where it was cut by count


@pytest.mark.parametrize("steps", [STEPS, "  - keep: image_width_px >= 40"])
def test_touched_files_are_known_by_their_content(tmp_path: Path, source: Path, steps: str) -> None:
    """Even where the pass that read the bytes came after the one that listed the samples."""
    if steps == STEPS:
        go(tmp_path, "  - keep: image_width_px >= 40")
    go(tmp_path, steps, update=True)
    for path in source.iterdir():
        os.utime(path, ns=(1, 1))
    again = go(tmp_path, steps)
    # Where only heads were read nobody knows the content: then heads are read again.
    assert measured(again) == (0 if steps == STEPS else 5)


def test_a_changed_file_of_the_same_size_is_measured_again(tmp_path: Path, source: Path) -> None:
    go(tmp_path, STEPS)
    path = source / "s02.jpg"
    good, stat = path.read_bytes(), path.stat()
    path.write_bytes(bytes(len(good)))
    changed = go(tmp_path, STEPS)
    assert (measured(changed), changed["failed"]) == (5, 1)
    path.write_bytes(good)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    back = go(tmp_path, STEPS)
    assert (measured(back), back["failed"], back["kept"]) == (0, 0, 4)


def test_a_failure_is_known_under_any_name_of_its_column(tmp_path: Path, source: Path) -> None:
    (source / "s02.jpg").write_bytes(b"words")
    first = "  - measure: [{image_entropy: {as: busy}}]"
    assert go(tmp_path, first)["failures"] == {"not an image": 1}
    again = go(tmp_path, "  - measure: image_entropy", update=True)
    assert (measured(again), again["failures"]) == (0, {"not an image": 1})


def test_others_failures_are_not_ours(tmp_path: Path, source: Path) -> None:
    path = source / "s02.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    assert go(tmp_path, "  - measure: [image_entropy, image_width_px]")["failures"] == {"truncated": 1}
    header_only = go(tmp_path, "  - keep: image_width_px >= 1", update=True)
    assert (measured(header_only), header_only["kept"], header_only["failed"]) == (0, 5, 0)
