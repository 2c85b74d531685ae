"""The reference's own cases: every value that is known exactly, every decision with the reference's bounds.

What a case needs and cannot be had here is made from the case: lists of words that hold what the reference's list
must hold for its value, and a tiny parser. Cases whose value only the reference's own weights can give are named
at the end, so that none goes missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tiny_text_models
from sluice.operator import Measured, Program, registry
from sluice.sample import Item, Sample

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "text_cases.json").read_text(encoding="utf-8")
)
PARSED = {"text_action_count", "text_entity_dependency_count"}
STOPWORDS = ("is", "and", "a", "do", "you", "of", "it's")
"""Those words of the reference's 301 stop words that its cases hold: four of them give each of its values."""


def _measured(operator: str, text: str, **settings: Any) -> Measured:
    sample = Sample(id="0", key="0", items=(Item("text", text=text),))
    return Program([registry().bind(operator, settings)])([sample])


def _name(case: dict[str, Any]) -> str:
    return f"{case['operator']}: {case['text'][:20]}"


@pytest.fixture
def stopwords(tmp_path: Path) -> str:
    path = tmp_path / "stopwords.json"
    path.write_text(json.dumps({"en": STOPWORDS}), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "case", [c for c in CASES if "value" in c and "tokenizer" not in c.get("needs", "")], ids=_name
)
def test_values_are_the_references(case: dict[str, Any], stopwords: str) -> None:
    settings = dict(case.get("settings", {}))
    if case["operator"] == "text_stopword_ratio":
        settings["list"] = stopwords
    (found,) = _measured(case["operator"], case["text"], **settings).columns[case["operator"]][0]
    assert found == pytest.approx(case["value"], abs=1e-6)
    if isinstance(case["value"], int):
        assert found == case["value"]
    bounds = case.get("bounds", {})
    if bounds:
        assert (bounds.get("min", found) <= found <= bounds.get("max", found)) == case["kept"]


@pytest.mark.parametrize("case", [c for c in CASES if c["operator"] in PARSED], ids=_name)
def test_decisions_by_grammar_are_the_references(case: dict[str, Any], tmp_path: Path) -> None:
    pipeline = tiny_text_models.parser(tmp_path / "parser")
    columns = _measured(case["operator"], case["text"], pipeline=pipeline).columns
    name = case["operator"] if case["operator"] in columns else f"{case['operator']}_max"
    assert (columns[name][0][0] >= 1) == case["kept"]


@pytest.mark.parametrize("case", [c for c in CASES if c["operator"] == "text_language_score"], ids=_name)
def test_decisions_by_language_are_the_references_with_the_packaged_identifier_too(
    case: dict[str, Any],
) -> None:
    columns = {
        name: _measured(name, case["text"]).columns[name][0][0]
        for name in ("text_language", "text_language_score")
    }
    kept = columns["text_language"] == "en" and columns["text_language_score"] >= case["bounds"]["min"]
    assert kept == case["kept"]


def test_no_case_goes_missing() -> None:
    proven = [c for c in CASES if c["operator"] in PARSED or c["operator"] == "text_language_score"]
    proven += [c for c in CASES if "value" in c and "tokenizer" not in c.get("needs", "")]
    missing = [c["operator"] for c in CASES if c not in proven]
    assert missing == ["text_token_count"] * 3 + ["text_perplexity"]
    assert len(CASES) == 40
