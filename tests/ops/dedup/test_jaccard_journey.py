"""Near-duplicate texts, from a file of documents to what a user reads about them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[2] / "run"))
from journeys import balanced, fates_of, go

from sluice.cli import main
from sluice.errors import PlanError
from sluice.store.opened import Run
from sluice.store.whatif import what_if, why
from sluice.view.report import build

STEPS = "  - dedup: {by: text_minhash, similarity: %s}"


@pytest.fixture
def documents(tmp_path: Path, data_dir: Path) -> Path:
    """A folder whose `in` holds the deduplication demo's fourteen texts."""
    source = data_dir / "text" / "data-juicer__demo-dataset-deduplication.jsonl"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "demo.jsonl").write_bytes(source.read_bytes())
    return tmp_path


def twins(folder: Path) -> dict[int, tuple[int, float]]:
    """For each duplicate's row the row of the text that was kept, and their similarity."""
    fates = list(fates_of(folder / "out").values())
    return {
        row: (fate["duplicate_of"], round(fate["similarity"], 4))
        for row, fate in enumerate(fates)
        if fate["fate"] == "duplicate"
    }


def test_the_near_duplicates_of_the_demo_are_found(documents: Path) -> None:
    """One equal sentence, two versions of two newspaper articles, and a Chinese letter with a line added."""
    summary = go(documents, STEPS % 0.8)
    assert balanced(summary)
    assert summary["kept"] == 10
    found = {8: (7, 0.9873), 10: (9, 0.9755), 11: (6, 1.0), 13: (12, 0.959)}
    assert twins(documents) == found


def test_a_lower_threshold_finds_more_and_other_shingles_other_scores(documents: Path) -> None:
    go(documents, STEPS % 0.5)
    assert set(twins(documents)) == {8, 9, 10, 11, 13}
    characters = "  - measure: {text_minhash: {unit: characters, size: 5}}\n" + STEPS % 0.5
    go(documents, characters, update=True)
    # "Today is Sunday and it's a happy day!" and "Today is sunday and it's really a happy day!"
    assert twins(documents)[5] == (0, pytest.approx(0.6905, abs=1e-4))


def test_what_was_found_is_told(documents: Path) -> None:
    go(documents, STEPS % 0.8)
    run = Run.open(str(documents / "out"))
    key = next(key for key, fate in fates_of(documents / "out").items() if fate["duplicate_of"] == 12)
    (told,) = why(run, key)
    assert (told["similarity_is"], round(told["similarity"], 4)) == ("jaccard", 0.959)
    lines = CliRunner().invoke(main, ["why", str(documents / "out"), key]).output
    assert "(Jaccard 0.9590), by 'dedup by text_minhash'" in lines
    page = build(run)
    assert "similarity 0.959" in page
    assert "21 bands of their signatures" in page
    assert "0.17% are missed" in page


def test_rules_before_decide_which_texts_are_compared(documents: Path) -> None:
    go(documents, "  - keep: text_length >= 60\n" + STEPS % 0.8)
    assert twins(documents) == {8: (7, 0.9873), 10: (9, 0.9755), 13: (12, 0.959)}
    again = what_if(Run.open(str(documents / "out")), ["text_length >= 5000"])
    assert again.counts()["duplicate"] == 1
    assert again.never_compared == 0


@pytest.mark.parametrize("wrong", ["  - dedup: text_minhash", "  - dedup: {by: text_minhash, distance: 3}"])
def test_a_threshold_that_does_not_fit_is_refused_before_any_work(documents: Path, wrong: str) -> None:
    with pytest.raises(PlanError) as caught:
        go(documents, wrong)
    assert "Jaccard" in str(caught.value.fix)
    assert not (documents / "out").exists()
