"""Whole runs over sources of every kind: nothing is lost or invented, and the same input gives the same bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journey_operators import MEDDLE, operators
from journeys import (
    BROKEN,
    balanced,
    digests,
    fates_of,
    go,
    measured,
    members,
    sizes,
    write_source,
    write_tar,
)
from small_pictures import picture

from sluice.errors import PlanError
from sluice.run.verify import verify
from sluice.storage import Location
from sluice.store import RunDir
from sluice.store.opened import Run

FORMS = ("folder", "tar", "parquet", "jsonl")
WIDTHS = (20, 40, 60)


def pick(draw: Any) -> dict[str, bytes]:
    """One sample: a picture or two, perhaps unreadable, perhaps with a caption."""
    sample: dict[str, bytes] = {}
    kind = draw(st.sampled_from(["one", "one", "one", "pair", "broken", "text"]))
    if kind == "pair":
        for side in ("left", "right"):
            sample[f"{side}.jpg"] = draw(
                st.sampled_from([picture(k, w) for k, w in enumerate(WIDTHS)] + [BROKEN])
            )
    elif kind == "broken":
        sample["jpg"] = BROKEN
    elif kind == "one":
        sample["jpg"] = picture(draw(st.integers(0, 2)), draw(st.sampled_from(WIDTHS)))
    # In a folder it is the caption that makes two pictures one sample.
    if kind in ("text", "pair") or draw(st.booleans()):
        sample["txt"] = draw(st.sampled_from([b"3 words here", b"7", b"none", b"\xff\xfe"]))
    return sample


RULES = (
    "any(image_width_px >= 40)",
    "all(image_width_px >= 60)",
    "not any(image_width_px = 20)",
    "count(image_width_px >= 1) >= 2",
    "text_length >= 3 or any(image_width_px >= 60)",
    "text_first_number >= 5",
)
OTHERS = (
    "dedup: key",
    "dedup: {by: size_bytes, keep_by: size_bytes desc}",
    "sample: {fraction: 0.6, seed: 1}",
    "drop_items: image_width_px < 40",
)


@st.composite
def journeys(draw: Any) -> tuple[str, list[dict[str, bytes]], list[str]]:
    """A format, samples for it, and steps."""
    form = draw(st.sampled_from(FORMS))
    samples = [pick(draw) for _ in range(draw(st.integers(1, 8)))]
    if form in ("parquet", "jsonl"):  # a text there is Unicode or nothing
        samples = [{n: d for n, d in s.items() if d != b"\xff\xfe"} for s in samples]
    rules = [
        f"keep: {{rule: '{draw(st.sampled_from(RULES))}', nulls: {draw(st.sampled_from(['drop', 'keep']))}}}"
        for _ in range(draw(st.integers(0, 3)))
    ]
    steps = draw(st.permutations([*rules, *draw(st.lists(st.sampled_from(OTHERS), max_size=2))]))
    return form, samples, steps or ["keep: size_bytes >= 0"]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(journey=journeys(), policy=st.sampled_from(["drop_item", "fail", "'null'"]))
def test_conservation_whatever_the_source_and_the_rules(
    tmp_path_factory: pytest.TempPathFactory,
    journey: tuple[str, list[dict[str, bytes]], list[str]],
    policy: str,
) -> None:
    form, samples, steps = journey
    here = tmp_path_factory.mktemp("journey")
    filled = [s or {"txt": b"something"} for s in samples]
    write_source(here / "in", form, filled)
    text = "\n".join(f"  - {step}" for step in steps)
    settings_of = [f"source.format={'webdataset' if form == 'tar' else form}", f"item_errors={policy}"]
    found = go(here, text, *settings_of, operators=operators())
    assert balanced(found)
    assert found["read"] == len(filled)
    assert len(fates_of(here / "out")) == len(filled)
    verify(RunDir.of(Location(here / "out")), quiet=True)
    shutil.rmtree(here)


@st.composite
def judged(draw: Any) -> tuple[list[int | None], list[tuple[int, str]]]:
    """Numbers (or none) and rules `n >= bound` with their nulls."""
    values = draw(st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=12))
    rules = draw(
        st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["drop", "keep"])), min_size=1, max_size=4)
    )
    return values, rules


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=judged())
def test_yields_against_plain_python(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[list[int | None], list[tuple[int, str]]]
) -> None:
    values, rules = case
    here = tmp_path_factory.mktemp("yields")
    (here / "in").mkdir()
    lines = [{"key": f"k{i}", "text": "none" if v is None else str(v)} for i, v in enumerate(values)]
    (here / "in/a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    steps = "\n".join(
        f"  - keep: {{rule: text_first_number >= {b}, nulls: {n}, name: r{k}}}"
        for k, (b, n) in enumerate(rules)
    )
    found = go(here, steps, operators=operators())
    fails = [[(n == "drop") if v is None else v < b for b, n in rules] for v in values]
    left = len(values)
    for k, told in enumerate(found["yields"]):
        first = sum(f[k] and not any(f[:k]) for f in fails)
        left -= first
        assert told["first_failing"] == first
        assert told["kept"] == left
        assert told["alone"] == sum(f[k] for f in fails)
        assert told["only_this"] == sum(f[k] and sum(f) == 1 for f in fails)
        assert told["null"] == sum(v is None for v in values)
    failing = [[f"r{k}" for k, bad in enumerate(f) if bad] for f in fails]
    rows = fates_of(here / "out")
    assert [rows[f"k{i}"]["failing"] for i in range(len(values))] == failing
    shutil.rmtree(here)


def test_steps_of_one_name_share_its_count(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(20, 40, 60))
    steps = "  - keep: {rule: image_width_px >= 30, name: size}\n  - keep: {rule: image_width_px >= 50, name: size}"
    found = go(tmp_path, steps)
    assert (found["by_rule"], balanced(found)) == ({"size": 2}, True)


@pytest.fixture
def mixed(tmp_path: Path, data_dir: Path) -> Path:
    """Made and real pictures in three tars, with captions, sidecars, copies and damage."""
    small = sorted((data_dir / "photos").glob("*.jpg"), key=lambda p: p.stat().st_size)[:5]
    for shard in range(3):
        files: dict[str, bytes] = {}
        for k in range(8):
            name = f"s{shard}/{k}"
            files[f"{name}.jpg"] = BROKEN if k == 5 else picture(k if k % 4 else 0, 40 + 10 * shard)
            files[f"{name}.txt"] = f"caption {k}\r\n".encode()
            if k % 3 == 0:
                files[f"{name}.cls"] = bytes([k, 255, 0])
        if shard < len(small):
            files[f"s{shard}/real.jpg"] = small[shard].read_bytes()
        write_tar(tmp_path / f"in/{shard}.tar", files)
    return tmp_path


STEPS = (
    "  - keep: image_width_px >= 45\n  - keep: {rule: image_sharpness >= 1, name: blurred}\n"
    "  - dedup: {by: image_phash, distance: 4, keep_by: image_width_px desc}\n  - measure: image_descriptor"
)
WRITE = "shard_samples: 4, embeddings: float16"


def test_the_same_bytes_for_any_workers_and_any_time(mixed: Path) -> None:
    states = []
    for workers in (0, 1, 2, 2):
        found = go(mixed, STEPS, write=WRITE, workers=workers)
        assert balanced(found)
        assert found["failed"] == 3
        states.append(digests(mixed / "out"))
        shutil.rmtree(mixed / "out")
        shutil.rmtree(mixed / "sluice-store")
    assert states[1:] == states[:1] * 3


def test_survivors_keep_key_sidecars_and_bytes(mixed: Path) -> None:
    go(mixed, STEPS, write=WRITE)
    source = {}
    for shard in range(3):
        (mixed / f"one{shard}").mkdir()
        shutil.copy(mixed / f"in/{shard}.tar", mixed / f"one{shard}")
        source |= members(mixed / f"one{shard}")
    kept = {key for key, row in fates_of(mixed / "out").items() if row["fate"] == "kept"}
    wanted = {name: data for name, data in source.items() if name.partition(".")[0] in kept}
    assert members(mixed / "out") == wanted
    assert kept


# A source that changes while it is read.


@pytest.fixture
def meddler() -> Iterator[list[Any]]:
    MEDDLE.clear()
    yield MEDDLE
    MEDDLE.clear()


@pytest.mark.parametrize("form", ["folder", "tar", "parquet", "jsonl"])
@pytest.mark.parametrize("deed", ["deleted", "changed", "shortened"])
def test_a_source_that_changes_after_it_was_measured(
    tmp_path: Path, meddler: list[Any], form: str, deed: str
) -> None:
    """The last sample measured takes the first one away before anything is written."""
    samples = sizes(40, 50, 60)
    source = write_source(tmp_path / "in", form, samples)
    last = samples[-1]["jpg"]
    victim = {"folder": "s00.jpg", "tar": "a.tar", "parquet": "a.parquet", "jsonl": "s00.jpg"}[form]

    def meddle(data: bytes) -> None:
        path = source / victim
        if data == last and path.exists():
            before = path.read_bytes()
            if deed == "deleted":
                path.unlink()
            elif deed == "changed":
                at = before.find(samples[0]["jpg"][-40:-20])
                path.write_bytes(before[:at] + bytes(20) + before[at + 20 :])
            else:
                path.write_bytes(before[: min(len(before) // 3, 600)])

    meddler.append(meddle)
    settings_of = ["source.format=jsonl"] if form == "jsonl" else []
    found = go(tmp_path, "  - measure: image_meddled", *settings_of, operators=operators())
    assert balanced(found)
    assert found["read"] == 3
    assert found["failed"] >= 1
    rows = fates_of(tmp_path / "out")
    assert rows["s00"]["fate"] == "failed"
    assert rows["s00"]["reason"]
    assert rows["s00"]["shard"] is None
    if form in ("folder", "jsonl"):
        assert (found["kept"], len(members(tmp_path / "out"))) == (2, 2)
    # Everything that was written is what was measured.
    assert set(members(tmp_path / "out").values()) <= {s["jpg"] for s in samples}


def test_a_file_that_comes_back_is_written_by_the_next_run(tmp_path: Path, meddler: list[Any]) -> None:
    samples = sizes(40, 50, 60)
    path = write_source(tmp_path / "in", "folder", samples) / "s00.jpg"
    away = tmp_path / "away"
    meddler.append(lambda data: path.exists() and data == samples[-1]["jpg"] and path.rename(away))
    assert go(tmp_path, "  - measure: image_meddled", operators=operators())["failed"] == 1
    meddler.clear()
    away.rename(path)
    back = go(tmp_path, "  - measure: image_meddled", operators=operators())
    assert (back["kept"], back["failed"], measured(back)) == (3, 0, 0)
    assert len(members(tmp_path / "out")) == 3


@pytest.mark.parametrize("form", ["folder", "tar", "parquet"])
def test_a_file_that_goes_before_it_is_measured(tmp_path: Path, meddler: list[Any], form: str) -> None:
    source = tmp_path / "in"
    first, second = sizes(40, 50)
    if form == "folder":
        write_source(source, form, [first, second])
        victim = source / "s01.jpg"
    else:
        write_source(tmp_path / "one", form, [first])
        write_source(tmp_path / "two", form, [second])
        source.mkdir()
        suffix = form
        (tmp_path / f"one/a.{suffix}").rename(source / f"0.{suffix}")
        victim = (tmp_path / f"two/a.{suffix}").rename(source / f"1.{suffix}")
    meddler.append(lambda data: data == first["jpg"] and victim.unlink(missing_ok=True))
    found = go(tmp_path, "  - measure: image_meddled", operators=operators())
    assert balanced(found)
    assert (found["kept"], found["failed"]) == (1, 1)


# The source's own columns.


def jsonl(folder: Path, rows: list[dict[str, Any]], name: str = "a") -> None:
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps({"key": f"{name}{k}", "text": "x"} | row) + "\n" for k, row in enumerate(rows))
    (folder / f"{name}.jsonl").write_text(text)


def test_source_columns_of_several_types_are_judged_where_they_fit(tmp_path: Path) -> None:
    jsonl(tmp_path / "in", [{"year": 1999}, {"year": 2005}, {"year": None}, {}], "a")
    jsonl(tmp_path / "in", [{"year": "2010"}, {"year": "MMX"}, {"year": [2011]}, {"year": {}}], "b")
    jsonl(tmp_path / "in", [{"year": 2020.5}, {"year": True}, {"year": "1e400"}], "c")
    found = go(tmp_path, "  - keep: year >= 2000")
    kept = sorted(k for k, f in fates_of(tmp_path / "out").items() if f["fate"] == "kept")
    assert kept == ["a1", "b0", "c0"]
    assert found["yields"][0]["null"] == 7


def test_nan_in_a_source_column_is_null(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    table = pa.table({"key": ["a", "b", "c"], "text": ["x"] * 3, "score": [float("nan"), 200.0, None]})
    pq.write_table(table, tmp_path / "in/a.parquet")
    found = go(tmp_path, "  - keep: score >= 100")
    assert (found["kept"], found["yields"][0]["null"]) == (1, 2)


def test_source_columns_with_names_of_ours(tmp_path: Path) -> None:
    """Columns called like the engine's own are judged and stored under `source_…`; no value is mixed up."""
    names = ("ordinal", "unit", "row", "notes", "failure", "item_errors", "item_hashes", "size_bytes")
    jsonl(tmp_path / "in", [dict.fromkeys(names, 100 + k) for k in range(3)])
    rules = "\n".join(f"  - keep: source_{name} >= 101" for name in names)
    found = go(tmp_path, rules)
    assert (found["kept"], balanced(found)) == (2, True)
    written = pq.read_table(tmp_path / "out/00000.parquet").to_pylist()
    assert all(row.get(name, row.get(f"source_{name}")) in (101, 102) for row in written for name in names)


def test_a_measure_with_the_name_of_a_source_column_is_a_plan_error(tmp_path: Path) -> None:
    jsonl(tmp_path / "in", [{"text_length": 5}])
    with pytest.raises(PlanError, match="'text_length', which the source has already") as caught:
        go(tmp_path, "  - measure: text_length")
    assert "as:" in caught.value.fix
    assert go(tmp_path, "  - keep: text_length >= 5")["kept"] == 1
    both = "  - measure: [{text_length: {as: length_now}}]\n  - keep: text_length >= 5 and length_now = 1"
    assert go(tmp_path, both, update=True)["kept"] == 1


def test_a_source_column_that_turns_up_late_does_not_replace_a_measure(tmp_path: Path) -> None:
    jsonl(tmp_path / "in", [{} for _ in range(40)] + [{"text_length": 999}])
    found = go(tmp_path, "  - keep: text_length >= 100")
    assert found["kept"] == 0
    (row,) = Run.open(str(tmp_path / "out")).table.rows([40])
    assert (row["text_length"], row["source_text_length"]) == (1, 999)


def test_an_output_is_a_source(tmp_path: Path) -> None:
    """What one run wrote as Parquet the next one reads, measures and all."""
    write_source(tmp_path / "in", "folder", sizes(40, 60))
    steps = "  - keep: image_width_px >= 30\n  - measure: image_entropy"
    go(tmp_path, steps, write="format: parquet")
    again = go(
        tmp_path,
        "  - keep: image_width_px >= 50\n  - keep: image_sharpness >= 0",
        source=tmp_path / "out",
        output=tmp_path / "two",
    )
    assert (again["read"], again["kept"]) == (2, 1)
