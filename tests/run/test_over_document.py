"""Measures over whole documents in runs: rules, near-duplicate documents, the store, and recipes that ask wrongly."""

from __future__ import annotations

import random
from pathlib import Path

import jsonschema
import pytest
from journeys import balanced, digests, fates_of, go, measured, recipe_of, values_of, write_tar
from small_pictures import picture

from sluice.errors import PlanError, RecipeError
from sluice.recipe.load import loads
from sluice.recipe.schema import recipe_schema
from sluice.store.opened import Run
from sluice.store.whatif import what_if

COUNT = "  - measure: {text_word_count: {over: document, as: document_word_count}}\n"
SKETCH = "  - measure: {text_minhash: {over: document, as: document_minhash}}\n"
NEAR = "  - dedup: {by: document_minhash, similarity: 0.8, name: same story}\n"


def story(seed: int, changed: int = 0) -> list[str]:
    """Ninety words of its own for every seed, the last few of them changed."""
    luck = random.Random(seed)
    words = [f"word{luck.randrange(300)}" for _ in range(90)]
    return words[: 90 - changed] + [f"other{k}" for k in range(changed)]


def source(tmp_path: Path) -> Path:
    """A story; the same one a little changed and cut elsewhere; another; pictures alone; a short text."""
    one, near, other = story(1), story(1, changed=4), story(2)
    documents: dict[str, list[str | None]] = {
        "a": [" ".join(one[:30]), None, " ".join(one[30:])],
        "b": [" ".join(near[:50]), " ".join(near[50:70]), None, " ".join(near[70:])],
        "c": [" ".join(other), None],
        "d": [None, None],
        "e": ["a few words", None],
    }
    files: dict[str, bytes] = {}
    for n, (key, parts) in enumerate(documents.items()):
        for k, part in enumerate(parts):
            name = f"{key}.{k}.{'jpg' if part is None else 'txt'}"
            files[name] = picture(10 * n + k) if part is None else part.encode()
    write_tar(tmp_path / "in/a.tar", files)
    return tmp_path


def test_rules_judge_documents_as_a_whole(tmp_path: Path) -> None:
    steps = COUNT + "  - keep: any(text_word_count >= 1)\n  - keep: document_word_count >= 50"
    found = go(source(tmp_path), steps)
    assert values_of(tmp_path / "out", "document_word_count") == {
        "a": 90,
        "b": 90,
        "c": 90,
        "d": None,
        "e": 3,
    }
    assert [k for k, f in fates_of(tmp_path / "out").items() if f["fate"] == "kept"] == ["a", "b", "c"]
    assert balanced(found)
    assert {"operator": "document_word_count", "reason": "no text", "samples": 1} in found["declined"]
    asked = what_if(Run.open(str(tmp_path / "out")), ["document_word_count < 50"])
    assert asked.counts()["kept"] == 1


def test_near_duplicate_documents_are_found_whatever_their_items(tmp_path: Path) -> None:
    found = go(source(tmp_path), SKETCH + NEAR)
    fates = fates_of(tmp_path / "out")
    assert {k: f["fate"] for k, f in fates.items()} == {
        "a": "kept", "b": "duplicate", "c": "kept", "d": "kept", "e": "kept",
    }  # fmt: skip
    assert fates["b"]["duplicate_of"] == fates["a"]["ordinal"]
    assert 0.8 <= fates["b"]["similarity"] < 1
    (told,) = found["comparisons"]
    assert (told["values"], told["without_value"]) == (4, 1)
    # By their items no two are alike: the documents are cut at other places.
    items = go(
        tmp_path, "  - dedup: {by: text_minhash, similarity: 0.8, level: item}", output=tmp_path / "items"
    )
    assert items["yields"][0]["items"] == 0


def test_items_and_documents_are_measured_side_by_side_and_never_again(tmp_path: Path) -> None:
    steps = COUNT + SKETCH + "  - measure: [text_word_count, text_minhash]\n"
    steps += "  - measure: {text_line: {over: document, as: document_line}}\n"
    assert measured(go(source(tmp_path), steps)) == 5
    again = go(tmp_path, steps, output=tmp_path / "again", store=str(tmp_path / "sluice-store"))
    assert measured(again) == 0
    table = Run.open(str(tmp_path / "out")).table
    assert (table.columns["document_word_count"].layout, table.columns["text_word_count"].layout) == (
        "scalar",
        "list",
    )
    assert (table.columns["document_line_count"].modality, table.columns["document_minhash"].kind) == (
        None,
        "binary",
    )
    assert values_of(tmp_path / "out", "document_line_count")["b"] == 3


def test_workers_give_the_same_bytes(tmp_path: Path) -> None:
    steps = COUNT + SKETCH + NEAR + "  - keep: document_word_count >= 50"
    go(source(tmp_path), steps)
    go(tmp_path, steps, output=tmp_path / "others", store=str(tmp_path / "other-store"), workers=2)
    here, there = digests(tmp_path / "out"), digests(tmp_path / "others")
    assert here == there


def test_a_recipe_says_over_and_keeps_it(tmp_path: Path) -> None:
    recipe = recipe_of(COUNT, tmp_path)
    (ref,) = recipe.steps[0].operators  # type: ignore[union-attr]
    assert (ref.over, ref.as_) == ("document", "document_word_count")
    assert loads(recipe.to_yaml()) == recipe
    schema = jsonschema.Draft202012Validator(recipe_schema({"text_word_count": {}}))
    schema.validate(recipe.to_data())
    schema.validate(recipe.to_data(full=True))
    with pytest.raises(RecipeError, match="over"):
        recipe_of("  - measure: {text_word_count: {over: page, as: x}}", tmp_path)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("  - measure: {text_word_count: {over: document}}", "needs a name for its column"),
        ("  - measure: {image_sharpness: {over: document, as: x}}", "for measures of text"),
        (
            COUNT + "  - measure: {text_length: {over: document, as: document_word_count}}",
            "both make the column",
        ),
        ("  - split: {text_split_document: {over: document}}", "mean nothing for the splitter"),
        (COUNT + "  - dedup: {by: document_word_count, level: item}", "of the sample, not of its items"),
    ],
)
def test_what_cannot_be_measured_over_documents_is_refused(tmp_path: Path, steps: str, message: str) -> None:
    with pytest.raises((PlanError, RecipeError), match=message):
        go(source(tmp_path), steps)
    assert not (tmp_path / "out").exists()
