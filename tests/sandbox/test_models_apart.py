"""Components in processes of their own: the same results, and an end for what hangs, dies or crashes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import loop_data
import pytest
import yaml
from apart_components import asking, echo, stubborn

from sluice.errors import MissingError, TrialError, UsageError
from sluice.sandbox.experiment import scores_of
from sluice.sandbox.registry import Registry, registry
from sluice.sandbox.train.apart import Apart
from sluice.sandbox.train.protocol import Trained
from sluice.sandbox.workflow.config import read_workflow
from sluice.sandbox.workflow.runner import run_workflow


def apart(target: Any, timeout_s: float = 30, **given: Any) -> Apart:
    return Apart(target.component, given, target.component.make(given), timeout_s)


def test_what_hangs_dies_or_crashes_is_a_run_without_a_result(tmp_path: Path) -> None:
    reasons = {
        "die": "killed: signal 9",
        "leave": "crashed: it ended without an answer",
        "crash": "crashed: ZeroDivisionError: planted",
        "trial": "diverged: planted",
    }
    made = apart(stubborn, ways=list(reasons))
    log = tmp_path / "log.txt"
    for seed, reason in enumerate(reasons.values(), 1):
        with pytest.raises(TrialError) as told:
            made.train(tmp_path, tmp_path, seed=seed, log=log)
        assert told.value.reason == reason
    assert (told.value.what, told.value.where, told.value.fix) == ("all of it", "here", "do so")
    assert "raise ZeroDivisionError" in log.read_text()
    started = time.monotonic()
    with pytest.raises(TrialError, match="hung: no end after 2 s"):
        apart(stubborn, 2, ways=["hang"]).train(tmp_path, tmp_path, seed=1, log=log)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(("way", "kind"), [("usage", UsageError), ("missing", MissingError)])
def test_what_is_wrong_for_all_runs_stays_so(tmp_path: Path, way: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"wrong for all|no library"):
        apart(stubborn, ways=[way]).train(tmp_path, tmp_path, seed=1, log=tmp_path / "log.txt")


def test_what_comes_back_is_what_the_component_gave(tmp_path: Path) -> None:
    log, made = tmp_path / "log.txt", apart(stubborn)
    assert (made.data_format, made.at_once, getattr(made, "resumes", None)) == ("sluice", True, None)
    found = made.train(tmp_path, tmp_path, seed=1, log=log)
    assert found == Trained(tmp_path, {"loss": 0.25}, 3, 0.1, 5, None, 0.05)
    judge = apart(asking)
    assert judge.metrics == {"elsewhere": "higher"}
    assert judge.evaluate(tmp_path, None, tmp_path, seed=1, log=log) == {"elsewhere": 1.0}
    (tmp_path / "prompts").write_text("ha")
    answers = apart(echo).infer(tmp_path, tmp_path / "prompts", tmp_path, seed=2, log=log)
    assert answers.read_text() == "haha"


def test_in_an_experiment_a_timeout_is_a_setting_and_a_hang_a_row(tmp_path: Path) -> None:
    measured = loop_data.captioned_run(tmp_path)
    given = {"ways": ["", "hang", "nan"], "timeout_s": 8}
    settings = {"trainer": {"stubborn": given}, "seeds": 3, "arms": ["control"], "at_once": 3}
    planned = {
        "probe": [{"hook": "pools", "settings": {"run": str(measured), "measures": ["image_width_px"]}}],
        "execute": [{"hook": "train", "settings": settings}],
        "evaluate": [{"hook": "evaluate_model", "settings": {"evaluator": "asking"}}],
    }
    known = registry()
    hooks = [known.get("hook", name) for name in known.names("hook")]
    parts = [stubborn.component, asking.component]  # type: ignore[attr-defined]
    board = run_workflow(
        read_workflow(yaml.safe_dump(planned), "w.yaml", Registry([*hooks, *parts])), tmp_path / "e"
    ).results
    found = {s.seed: (s.value, s.reason) for s in scores_of(board["scores"])}
    assert found == {
        1: (1.0, ""),
        2: (None, "hung: no end after 8 s"),
        3: (None, "diverged: loss is nan"),
    }
