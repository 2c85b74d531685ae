"""Splitters in whole runs: children are the samples of every later step, and no parent is lost on the way."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import splitters
from journeys import (
    FATES,
    balanced,
    digests,
    fates_of,
    go,
    measured,
    members,
    recipe_of,
    values_of,
    write_tar,
)
from small_pictures import picture

from sluice.cli import main
from sluice.cli.run import tell
from sluice.errors import SluiceError, TooManyFailuresError, VerifyError
from sluice.operator import Registry, registry
from sluice.run.convert import convert
from sluice.run.forecast import outlook, probe
from sluice.run.local import LocalEngine
from sluice.run.prepare import prepare
from sluice.run.show import show
from sluice.run.verify import verify
from sluice.store.opened import Run
from sluice.store.whatif import what_if, why
from sluice.view.report import build

CHUNKS = "  - split: {text_split_document: {max_characters: %d}}\n"
LONG = "  - keep: text_length >= 20\n"
DOCUMENTS = {
    "a": "First paragraph of a.\n\nSecond one, which is longer.\n\nThird.",
    "blank": " \n ",
    "b": "Short.",
    "c": "One sentence here. Another one there. A third to end with, longer than the others.",
}
ALL = Registry(
    [
        *registry(),
        *registry().features(),
        *(value.spec for value in vars(splitters).values() if hasattr(value, "spec")),
    ]
)


def documents(folder: Path, texts: dict[str, str], *, lines: int = 1000) -> Path:
    """JSONL shards of these texts."""
    (folder / "in").mkdir(exist_ok=True)
    rows = [json.dumps({"key": k, "text": t, "source": "test"}) for k, t in texts.items()]
    for number in range(0, len(rows), lines):
        (folder / "in" / f"{number:03d}.jsonl").write_text("\n".join(rows[number : number + lines]) + "\n")
    return folder / "in"


def parents_of(output: Path) -> dict[str, dict[str, Any]]:
    """The parents of a run by key."""
    return {row["key"]: row for row in pq.read_table(output / "_sluice" / "parents.parquet").to_pylist()}


def texts_of(output: Path) -> dict[str, str]:
    """The written texts by key."""
    return {
        name.removesuffix(".txt"): data.decode() for name, data in members(output).items() if ".txt" in name
    }


def level_of(summary: dict[str, Any]) -> dict[str, Any]:
    (level,) = (each for each in summary["levels"] if each["name"] == "parents")
    return level  # type: ignore[no-any-return]


def test_children_are_judged_and_written_and_every_parent_is_accounted_for(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    found = go(tmp_path, CHUNKS % 30 + LONG, operators=ALL)
    assert balanced(found)
    level = level_of(found)
    assert [level[name] for name in ("read", "split", "childless", "failed")] == [4, 3, 1, 0]
    assert level["children"] == found["read"]
    assert level["reasons"] == {"childless": {"no text": 1}, "failed": {}}
    fates = fates_of(tmp_path / "out")
    for key in ("a", "b", "c"):
        mine = [k for k in fates if k.startswith(f"{key}_")]
        assert mine == [f"{key}_{n:04d}" for n in range(parents_of(tmp_path / "out")[key]["children"])]
    texts = texts_of(tmp_path / "out")
    assert {k for k, row in fates.items() if row["fate"] == "kept"} == set(texts)
    assert all(20 <= len(text) <= 30 for text in texts.values())
    assert found["dropped"] > 0
    assert set(values_of(tmp_path / "out", "parent").values()) == {
        row["id"] for row in parents_of(tmp_path / "out").values() if row["children"]
    }


def test_chunks_that_are_written_make_up_the_documents(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    go(tmp_path, CHUNKS % 25, operators=ALL)
    texts = texts_of(tmp_path / "out")
    for key, text in DOCUMENTS.items():
        assert "".join(t for k, t in sorted(texts.items()) if k.startswith(f"{key}_")) == text * bool(
            text.strip()
        )


def test_verify_finds_the_books_in_order_and_notices_a_lost_parent(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    go(tmp_path, CHUNKS % 30 + LONG)
    place = Run.open(str(tmp_path / "out")).place
    assert verify(place, quiet=True)["read"] > 4
    file = tmp_path / "out" / "_sluice" / "parents.parquet"
    whole = pq.read_table(file)
    pq.write_table(whole.slice(0, 3), file)
    with pytest.raises(VerifyError, match="disagree with the summary"):
        verify(place, quiet=True)
    pq.write_table(whole.take([1, 0, 2, 3]), file)
    with pytest.raises(VerifyError, match="out of order"):
        verify(place, quiet=True)


@pytest.mark.parametrize(
    "steps", [CHUNKS % 30 + LONG, CHUNKS % 30, "  - map: text_fix_whitespace\n" + CHUNKS % 30]
)
def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path, steps: str) -> None:
    documents(tmp_path, DOCUMENTS, lines=2)
    results = []
    for workers in (0, 1, 2):
        go(
            tmp_path,
            steps,
            workers=workers,
            store=str(tmp_path / f"store{workers}"),
            write="shard_samples: 3",
        )
        results.append(digests(tmp_path / "out"))
        (tmp_path / "out").rename(tmp_path / f"out{workers}")
    assert results[0] == results[1] == results[2]


def test_the_same_run_again_measures_and_writes_nothing(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    first = go(tmp_path, CHUNKS % 30 + LONG)
    before = digests(tmp_path / "out")
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.tar")}
    again = go(tmp_path, CHUNKS % 30 + LONG)
    assert (measured(first), measured(again)) == (first["read"], 0)
    assert digests(tmp_path / "out") == before
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.tar")} == times


def test_a_new_measure_is_computed_over_the_children_that_are_known(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    go(tmp_path, CHUNKS % 30 + LONG)
    found = go(tmp_path, CHUNKS % 30 + LONG + "  - measure: text_word_count\n", update=True)
    assert measured(found) == found["read"]
    assert len(values_of(tmp_path / "out", "text_word_count")) == found["read"]


def test_other_settings_of_the_splitter_split_anew(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    few = go(tmp_path, CHUNKS % 60)
    many = go(tmp_path, CHUNKS % 15, update=True)
    assert many["read"] > few["read"]
    assert measured(many) == many["read"]
    assert max(len(t) for t in texts_of(tmp_path / "out").values()) <= 15


def test_a_recipe_without_a_splitter_forgets_the_parents_of_the_one_before(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    go(tmp_path, CHUNKS % 30)
    assert "levels" not in go(tmp_path, LONG, update=True)
    assert not (tmp_path / "out" / "_sluice" / "parents.parquet").exists()


def test_mappers_before_the_split_change_parents_and_after_it_children(tmp_path: Path) -> None:
    documents(tmp_path, {"a": "one   two\n\nmail@x.org three"})
    before = "  - map: text_fix_whitespace\n"
    after = "  - map: {text_remove_emails: {replacement: E}}\n"
    go(tmp_path, before + CHUNKS % 9 + after + "  - keep: text_length >= 0\n")
    judged = texts_of(tmp_path / "out")
    assert list(judged.values()) == ["one two\n\n", "E", "g three"]
    go(tmp_path, before + CHUNKS % 13 + after + "  - keep: text_length <= 9\n", update=True)
    assert list(texts_of(tmp_path / "out").values()) == ["one two\n\n", "E ", "three"]
    found = go(tmp_path, before + CHUNKS % 13 + after, update=True)
    assert list(texts_of(tmp_path / "out").values()) == ["one two\n\n", "E ", "three"]
    assert level_of(found)["split"] == 1


def test_a_limit_counts_what_is_read_not_what_it_is_split_into(tmp_path: Path) -> None:
    documents(tmp_path, {str(k): "a b c d e f" for k in range(10)}, lines=4)
    found = go(tmp_path, CHUNKS % 3, "source.limit=6")
    assert (level_of(found)["read"], found["read"]) == (6, 30)


def test_a_splitter_of_views_keeps_every_byte(tmp_path: Path) -> None:
    files = {}
    for k in range(3):
        files |= {f"{k}.{n}.jpg": picture(10 * k + n) for n in range(2)}
        files |= {f"{k}.{n}.txt": f"caption {k}{n}".encode() for n in range(2)}
    files["lonely.jpg"] = picture(99)
    write_tar(tmp_path / "in" / "x.tar", files)
    found = go(tmp_path, "  - split: sample_pairs\n  - keep: image_width_px >= 1\n", operators=ALL)
    assert (found["read"], found["kept"]) == (6, 6)
    level = level_of(found)
    assert (level["split"], level["childless"], level["failed"]) == (3, 0, 1)
    assert level["reasons"]["failed"] == {"sample_pairs: ValueError": 1}
    written = members(tmp_path / "out")
    assert written["1_0001.1.jpg"] == picture(11)
    assert written["2_0000.0.txt"] == b"caption 20"
    ids = {row["key"]: row["id"] for row in parents_of(tmp_path / "out").values()}
    assert values_of(tmp_path / "out", "id")["1_0001"] == f"{ids['1']}:1"


def test_a_parent_has_all_of_its_children_or_none(tmp_path: Path) -> None:
    documents(tmp_path, {"a": "one\ntwo", "b": "three\nraise\nfour", "c": "five"})
    found = go(tmp_path, "  - split: text_deadly_lines\n" + "  - keep: text_length >= 0\n", operators=ALL)
    assert (found["read"], level_of(found)["failed"]) == (3, 1)
    assert parents_of(tmp_path / "out")["b"]["detail"] == "asked for"


def test_children_of_one_id_let_their_parent_fail(tmp_path: Path) -> None:
    documents(tmp_path, {"a": "one"})
    found = go(tmp_path, "  - split: text_twin_ids\n", operators=ALL)
    assert level_of(found)["reasons"]["failed"] == {"text_twin_ids: two children of one id": 1}
    assert found["read"] == 0


def test_what_cannot_be_read_is_a_failed_parent(tmp_path: Path) -> None:
    folder = documents(tmp_path, DOCUMENTS)
    with (folder / "000.jsonl").open("a") as file:
        file.write("{broken\n")
    found = go(tmp_path, CHUNKS % 30 + LONG)
    assert level_of(found)["failed"] == 1
    with pytest.raises(TooManyFailuresError, match="1 of "):
        go(tmp_path, CHUNKS % 30 + LONG, strict=True, output=tmp_path / "strict", store=str(tmp_path / "s"))
    with pytest.raises(TooManyFailuresError, match="more than max_failed"):
        go(tmp_path, CHUNKS % 30 + LONG, "max_failed=1%", output=tmp_path / "bound")


@pytest.mark.parametrize("line", [splitters.BAIT, splitters.HANG])
def test_a_parent_that_kills_its_worker_costs_itself_alone(tmp_path: Path, line: str) -> None:
    documents(tmp_path, {"a": "one\ntwo", "bad": f"three\n{line}", "c": "four"})
    steps = "  - split: text_deadly_lines\n  - keep: text_length >= 4\n"
    found = go(tmp_path, steps, "limits.sample_s=2", workers=2, operators=ALL)
    assert balanced(found)
    assert (found["read"], found["kept"], found["dropped"]) == (3, 1, 2)
    level = level_of(found)
    assert (level["split"], level["failed"]) == (2, 1)
    (reason,) = level["reasons"]["failed"]
    assert reason.startswith("text_deadly_lines: ")
    assert parents_of(tmp_path / "out")["bad"]["fate"] == "failed"
    assert list(texts_of(tmp_path / "out").values()) == ["four"]


def test_a_search_for_another_culprit_leaves_a_deadly_parent_alone(tmp_path: Path) -> None:
    """A death in a call that takes many items names no row; rows are then counted and probed."""
    documents(
        tmp_path, {"a": "one\ntwo", "bad": f"three\n{splitters.BAIT}", "c": f"four\n{splitters.POISON}\nfive"}
    )
    steps = "  - split: text_deadly_lines\n  - keep: text_deadly_length >= 4\n"
    found = go(tmp_path, steps, workers=1, operators=ALL)
    assert balanced(found)
    assert [found[fate] for fate in ("read", *FATES)] == [5, 2, 2, 0, 1]
    assert (level_of(found)["split"], level_of(found)["failed"]) == (2, 1)
    assert list(texts_of(tmp_path / "out").values()) == ["four", "five"]


def test_a_probe_forecasts_in_children(tmp_path: Path) -> None:
    documents(tmp_path, {f"{k:02d}": "alpha beta gamma delta" for k in range(12)}, lines=3)
    recipe = recipe_of(CHUNKS % 8, tmp_path / "in")
    prepared = prepare(recipe, output=str(tmp_path / "out"))
    with closing(LocalEngine(0)) as engine:
        found = probe(prepared, 3, engine, quiet=True)
    assert found["samples"] == 4 * found["probed"]["samples"]
    assert outlook(prepared)["samples"] == 12


def test_the_report_tells_of_parents(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    go(tmp_path, CHUNKS % 30 + LONG)
    page = build(Run.open(str(tmp_path / "out")))
    assert "parents: 4 read = 3 split + 1 childless + 0 failed" in page
    assert "4 samples in, split into" in page
    assert "What could not be split" in page
    assert "no text" in page


def test_the_command_line_tells_of_parents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents(tmp_path, DOCUMENTS)
    tell(go(tmp_path, CHUNKS % 30 + LONG))
    said = capsys.readouterr().out
    assert "parents: 4 read = 3 split + 1 childless + 0 failed" in said
    assert "parents childless because" in said
    for key, words in (("a", "split into 3"), ("blank", "childless (no text)"), ("a_0001", "made of a")):
        with pytest.raises(SystemExit, match="0"):
            main(["why", str(tmp_path / "out"), key])
        assert words in capsys.readouterr().out


def test_what_was_split_is_read_as_any_other_dataset(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    found = go(tmp_path, CHUNKS % 30, write="format: parquet")
    done = convert(str(tmp_path / "out" / "0*.parquet"), str(tmp_path / "again"), quiet=True)
    assert (done.written, done.failed) == (found["kept"], 0)


def test_a_parent_that_failed_by_accident_can_be_tried_again(tmp_path: Path) -> None:
    documents(tmp_path, {"a": "one", "b": f"two\n{splitters.BAIT}", "c": "three"})
    marker = tmp_path / "mended"
    steps = f"  - split: {{text_mended_lines: {{marker: {marker}}}}}\n  - keep: text_length >= 0\n"
    first = go(tmp_path, steps, workers=1, operators=ALL)
    assert (first["read"], level_of(first)["failed"]) == (2, 1)
    marker.touch()
    # What is known of a unit goes together: without being asked for, nothing is split again.
    more = go(tmp_path, steps + "  - measure: text_word_count\n", operators=ALL, update=True)
    assert (more["read"], level_of(more)["failed"]) == (2, 1)
    again = go(tmp_path, steps, operators=ALL, retry_failed=True, update=True)
    assert (again["read"], again["kept"], level_of(again)["failed"]) == (4, 4, 0)
    assert list(texts_of(tmp_path / "out").values()) == ["one", "two", splitters.BAIT, "three"]
    both = go(tmp_path, steps + "  - measure: text_word_count\n", operators=ALL, update=True)
    assert sorted(values_of(tmp_path / "out", "text_word_count").values()) == [1, 1, 1, 3]
    assert balanced(both)


def test_children_that_cannot_be_made_again_fail_and_are_not_mistaken(tmp_path: Path) -> None:
    documents(tmp_path, {"a": "one\ntwo", "b": "three"})
    marker = tmp_path / "more"
    steps = f"  - split: {{text_unsteady_lines: {{marker: {marker}}}}}\n  - keep: text_length >= 0\n"
    go(tmp_path, steps, operators=ALL)
    marker.touch()
    found = go(tmp_path, steps + "  - measure: text_word_count\n", operators=ALL, update=True)
    assert (found["read"], found["failed"]) == (3, 3)
    assert found["failures"] == {"split otherwise than before": 3}
    assert balanced(found)


def test_dear_operators_after_a_global_step_see_the_children(tmp_path: Path) -> None:
    documents(tmp_path, {"a": "one\none\ntwo", "bad": f"x\n{splitters.BAIT}", "c": "two\nfour"})
    steps = "  - split: text_deadly_lines\n  - dedup: text_content_hash\n  - keep: text_dear_length <= 3\n"
    found = go(tmp_path, steps, workers=2, operators=ALL)
    assert balanced(found)
    assert [found[f] for f in FATES] == [2, 1, 2, 0]
    assert sorted(texts_of(tmp_path / "out").values()) == ["one", "two"]


def test_why_names_the_parent_of_a_child_and_the_fate_of_a_parent(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    go(tmp_path, CHUNKS % 30 + LONG)
    run = Run.open(str(tmp_path / "out"))
    (child,) = why(run, "a_0000")
    assert child["parent"]["key"] == "a"
    (parent,) = why(run, "a")
    assert parent["fate"] == "split"
    assert sum(parent["children_fates"].values()) == parent["children"] == child["parent"]["children"]
    (blank,) = why(run, "blank")
    assert (blank["fate"], blank["reason"], blank["children"]) == ("childless", "no text", 0)
    (by_id,) = why(run, child["parent"]["id"])
    assert by_id == parent


def test_a_finished_run_shows_children_and_answers_questions(tmp_path: Path) -> None:
    documents(tmp_path, DOCUMENTS)
    found = go(tmp_path, CHUNKS % 30 + LONG)
    run = Run.open(str(tmp_path / "out"))
    keys = list(fates_of(tmp_path / "out"))
    assert run.text(keys.index("c_0001")) == "Another one there. "
    assert what_if(run, ["text_length >= 0"]).counts()["kept"] == found["read"]
    (shown,) = show(f"{tmp_path / 'out'}#c_0001")["samples"]
    assert shown["key"] == "c_0001"


def test_an_empty_table_is_no_trouble(tmp_path: Path) -> None:
    documents(tmp_path, {"blank": " ", "empty": ""})
    found = go(tmp_path, CHUNKS % 30 + LONG)
    assert (found["read"], level_of(found)["childless"]) == (0, 2)
    assert balanced(found)
    out = Run.open(str(tmp_path / "out"))
    verify(out.place, quiet=True)
    assert "childless" in build(out)
    columns = set(pq.read_schema(tmp_path / "out/selection.parquet").names)
    assert {
        "id",
        "key",
        "fate",
        "rule",
        "failing",
        "duplicate_of",
        "shard",
        "margin_0",
        "items_dropped",
    } <= columns


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (LONG + CHUNKS % 9, "stands after steps that look at samples"),
        (CHUNKS % 9 + CHUNKS % 9, "a second `split`"),
        ("  - split: text_length\n", "is a measure, not a splitter"),
        ("  - map: text_split_document\n", "is a splitter, not a mapper"),
        ("  - split: text_split_documents\n", "did you mean 'text_split_document'"),
        ("  - split: {text_split_document: {as: x}}\n", "mean nothing for the splitter"),
        ("  - split: {text_split_document: {max_characters: 0}}\n", "greater than or equal to 1"),
    ],
)
def test_a_split_that_cannot_be_run_is_refused_before_any_work(
    tmp_path: Path, steps: str, words: str
) -> None:
    documents(tmp_path, DOCUMENTS)
    with pytest.raises(SluiceError, match=words) as caught:
        go(tmp_path, steps)
    assert caught.value.where.endswith((":3", ":4"))
    assert not (tmp_path / "out").exists()
