"""Hooks and components are found by name, say what they take, and refuse what they do not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from sluice.errors import UsageError
from sluice.sandbox import Score, evaluator, hook, read_scores, registry, score_table, scores_of, write_scores
from sluice.sandbox.experiment import SCHEMA
from sluice.sandbox.registry import DeclarationError, Registry, declarations
from sluice.sandbox.train.protocol import Evaluator


@hook(gives=("doubled",))
def double(job: Any, number: int, extra: int | None = None, *, times: int = 2) -> dict[str, Any]:
    """Doubles."""
    return {"doubled": number * times + (extra or 0)}


@evaluator
class constant:  # noqa: N801 - its name in a workflow
    metrics: ClassVar = {"accuracy": "higher"}

    def __init__(self, *, value: float) -> None:
        self.value = value

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> dict[str, float]:
        return {"accuracy": self.value}


def test_a_hook_tells_what_it_takes_and_gives() -> None:
    found = double.component  # type: ignore[attr-defined]
    assert found.takes == {"number": True, "extra": False}
    assert (found.gives, found.kind, found.doc) == (("doubled",), "hook", "Doubles.")
    assert found.checked({}) == {"times": 2}
    with pytest.raises(ValidationError):
        found.checked({"tims": 3})


def test_a_component_is_made_with_checked_settings() -> None:
    made = constant.component.make({"value": "0.5"})  # type: ignore[attr-defined]
    assert isinstance(made, Evaluator)
    assert made.evaluate(Path(), None, Path(), seed=0, log=Path()) == {"accuracy": 0.5}
    with pytest.raises(ValidationError):
        constant.component.make({})  # type: ignore[attr-defined]


def test_declarations_are_those_of_the_module_itself() -> None:
    assert [c.name for c in declarations(__name__)] == ["double", "constant"]


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    known = Registry(declarations(__name__))
    assert known.names("hook") == ["double"]
    assert known.get("evaluator", "constant").target is constant
    with pytest.raises(UsageError, match="did you mean `double`"):
        known.get("hook", "duoble")


def test_two_of_one_name_are_refused() -> None:
    @hook(gives=())
    def double(job: Any) -> dict[str, Any]:
        return {}

    known = Registry(declarations(__name__))
    with pytest.raises(UsageError, match="declared twice"):
        known.add(double.component)  # type: ignore[attr-defined]


def test_settings_that_could_vanish_are_refused() -> None:
    @hook(gives=())
    def loose(job: Any, **settings: Any) -> dict[str, Any]:
        return {}

    with pytest.raises(DeclarationError, match="hide misspelt settings"):
        loose.component.settings  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(DeclarationError, match="first parameter"):

        @hook(gives=())
        def jobless() -> dict[str, Any]:
            return {}


def test_ours_are_found_through_the_entry_point() -> None:
    assert registry.registry().names("hook") == sorted(registry.registry().names("hook"))


def test_scores_come_back_from_their_file(tmp_path: Path) -> None:
    scores = [Score("a", 42, "loss", 0.0), Score("a", 45, "loss", None, "diverged: loss is NaN")]
    write_scores(tmp_path / "scores.parquet", scores)
    assert read_scores(tmp_path / "scores.parquet") == scores
    assert scores_of(score_table(scores)) == scores
    assert score_table([]).schema == SCHEMA
