"""Workflows: what is wrong is told with its line, jobs run once, and a run goes on where it was."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest
import workflow_hooks

from sluice.errors import InterruptedRunError, RecipeError, RunError, UsageError
from sluice.sandbox.train.trials import Trial
from sluice.sandbox.workflow.blackboard import Blackboard
from sluice.sandbox.workflow.config import Workflow, load_workflow, read_workflow
from sluice.sandbox.workflow.runner import Done, _forget_failed, run_workflow
from sluice.sandbox.workflow.until import holds

SUM = """
probe:
  - hook: number
    settings: {value: 2}
execute:
  - add
  - hook: write
"""


def made(text: str) -> Workflow:
    return read_workflow(text, "w.yaml", workflow_hooks.hooks())


def run(text: str, output: Path, **more: Any) -> Done:
    return run_workflow(made(text), output, **more)


def test_a_workflow_runs_in_order_and_leaves_its_results(tmp_path: Path) -> None:
    done = run(SUM, tmp_path)
    assert done.ran == ("number", "add", "write")
    board = Blackboard.read(tmp_path)
    assert board["total"] == 2
    assert board["table"].to_pylist() == [{"total": 2.0, "round": 1}]
    assert board["file"].read_text() == "2.0"
    assert run(SUM, tmp_path).found == ("number", "add", "write")


@pytest.mark.parametrize("value", ["0", "false", "''", "[]", "{}", "null"])
def test_a_result_of_nothing_is_a_result(tmp_path: Path, value: str) -> None:
    text = f"probe: [{{hook: number, settings: {{value: {value}}}}}]"
    assert run(text, tmp_path).ran == ("number",)
    done = run(text, tmp_path)
    assert (done.ran, done.results["number"]) == ((), made(text).jobs[0].settings["value"])


def test_an_experiment_can_be_moved(tmp_path: Path) -> None:
    run(SUM, tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert Blackboard.read(tmp_path / "b")["file"].read_text() == "2.0"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("probe:\n  - hook: nubmer", 2, "did you mean `number`"),
        ("probe:\n  - hook: number\n    settings: {vaule: 3}", 3, "did you mean `value`"),
        ("probe:\n  - hook: number\n  - hook: number", 3, "two jobs are named 'number'"),
        ("prob:\n  - hook: number", 1, "did you mean `probe`"),
        ("probe:\n  - hook: add", 2, "no job before 'add' gives the result `number`"),
        ("probe:\n  - number\n  - hook: add\n    takes: {numbr: number}", 4, "did you mean `number`"),
        ("probe:\n  - number\n  - hook: add\n    takes: {number: nubmer}", 4, "did you mean `number`"),
        ("probe:\n  - hook: number\n    gives: {nmber: n}", 3, "did you mean `number`"),
        ("probe:\n  - hook: number\n    settings: 3", 3, "must be a mapping"),
        ("probe:\n  - number\nrepeat:\n  max: 0", 4, "must be >= 1"),
        ("probe:\n  - number\nrepeat: {max: 2, until: 'gain <'}", 3, "gain <"),
        ("probe:\n  - number\nrepeat: {max: 2, until: 'numbr < 1'}", 3, "did you mean `number`"),
        ("probe:\n  - number\nrepeat: {max: 2, phases: [probe, execute]}", 3, "must follow each other"),
        ("probe:\n  - hook: number\n    name: ../x", 3, "name"),
        ("probe: number", 1, "must be a list of jobs"),
        ("name: x", 1, "there is no job"),
        ("- probe", 1, "a workflow is a mapping"),
        ("", 0, "the workflow is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        made(text)
    assert told in str(caught.value)
    assert (f"w.yaml:{line}" if line else "w.yaml") in str(caught.value)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(RecipeError, match="2 things are wrong"):
        made("probe:\n  - hook: nubmer\n  - hook: number\n    settings: {vaule: 3}\n  - hook: add")


def test_rounds_see_the_round_before_until_it_is_enough(tmp_path: Path) -> None:
    text = "probe: [{hook: number, settings: {value: 2}}]\nexecute: [add]\n"
    text += "repeat: {max: 5, until: total >= 6, phases: [execute]}"
    done = run(text, tmp_path)
    assert (done.rounds, done.results["total"]) == (3, 6)
    assert run(text, tmp_path).rounds == 3
    longer = text.replace("total >= 6", "total >= 8")
    assert run(longer, tmp_path).ran == ("add",)


def test_conditions_look_into_results() -> None:
    results = {"verdict": {"gain": 0.0, "better": False, "name": "a"}, "list": [], "none": None}
    assert holds("verdict.gain < 0.01 and verdict.better = false and verdict.name = 'a'", results)
    assert holds("list.rows = 0", results)
    assert not holds("verdict.gain > 0", results)
    with pytest.raises(RecipeError, match=r"did you mean `verdict\.gain`"):
        holds("verdict.gian > 0", results)


def test_a_failed_job_is_tried_again_and_finished_ones_are_not(tmp_path: Path) -> None:
    text = "probe: [number, stubborn]"
    for number in (1, 2):
        with pytest.raises(RunError, match=f"'stubborn' failed: ValueError: try {number}"):
            run(text, tmp_path)
    assert "Traceback" in (tmp_path / "jobs" / "1.probe.stubborn" / "error.txt").read_text()
    done = run(text, tmp_path)
    assert (done.ran, done.found, done.results["tries"]) == (("stubborn",), ("number",), 3)


def test_a_hook_that_does_not_resume_finds_its_folder_empty(tmp_path: Path) -> None:
    broken = "probe: [{hook: forgetful, settings: {fail: true}}]"
    with pytest.raises(RunError, match="failed on purpose"):
        run(broken, tmp_path)
    with pytest.raises(RunError, match="failed on purpose"):
        run(broken, tmp_path)
    assert run(broken.replace("true", "false"), tmp_path, restart=True).results["seen"] == []


@pytest.mark.parametrize(
    ("how", "told"),
    [("nan", "no number"), ("type", "cannot be kept"), ("path", "nothing"), ("x", "must give")],
)
def test_what_is_no_result_fails_the_job(tmp_path: Path, how: str, told: str) -> None:
    with pytest.raises(RunError, match=told):
        run(f"probe: [{{hook: wrong, settings: {{how: {how}}}}}]", tmp_path)


def test_a_changed_workflow_is_refused_with_what_changed(tmp_path: Path) -> None:
    run(SUM, tmp_path)
    with pytest.raises(UsageError, match=r"number\.value|number\.settings\.value: 2 → 3"):
        run(SUM.replace("value: 2", "value: 3"), tmp_path)
    with pytest.raises(UsageError, match="the job 'write' of `execute` is gone"):
        run(SUM.replace("  - hook: write\n", ""), tmp_path)
    assert run(SUM.replace("value: 2", "value: 3"), tmp_path, restart=True).results["total"] == 3
    more = SUM.replace("value: 2", "value: 3") + "evaluate: [{hook: number, name: later}]"
    assert run(more, tmp_path).ran == ("later",)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "running.lock").open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another run is at work here"):
            run(SUM, tmp_path)
    assert run(SUM, tmp_path).ran


def test_an_interrupt_says_that_it_can_be_continued(tmp_path: Path) -> None:
    workflow = made(SUM)

    def interrupt(text: str) -> None:
        if text.startswith("execute: write"):
            raise KeyboardInterrupt

    with pytest.raises((InterruptedRunError, KeyboardInterrupt)):
        run_workflow(workflow, tmp_path, say=interrupt)
    assert run_workflow(workflow, tmp_path).ran == ("write",)


def test_ready_experiments_go_by_their_names() -> None:
    assert load_workflow("mini-gemini").jobs[0].hook.name == "pools"
    with pytest.raises(RecipeError, match="did you mean `mini-gemini`"):
        load_workflow("mini-gemni")
    with pytest.raises(RecipeError, match="no such file"):
        load_workflow("mini-gemini.yaml")


def test_a_workflow_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SUM)
    found = load_workflow(str(tmp_path / "mine.yaml"), workflow_hooks.hooks())
    assert (found.name, [job.name for job in found.jobs]) == ("mine", ["number", "add", "write"])


def test_what_is_tried_again_leaves_nothing_of_later_rounds(tmp_path: Path) -> None:
    board = Blackboard(tmp_path)
    for number, (round_number, reason) in enumerate([(1, ""), (1, "crashed"), (2, "")]):
        folder = board.folder(round_number, "execute", f"job{number}")
        folder.begin({"number": number, "round": round_number}, keep=False)
        Trial.of(folder.files / "runs", "a", 1).begin(keep=False)
        Trial.of(folder.files / "runs", "a", 1).end({"reason": reason})
        folder.finish({}, 0.1)
    _forget_failed(tmp_path, lambda text: None)
    first, second, later = (board.folder(r, "execute", f"job{n}") for n, r in enumerate([1, 1, 2]))
    assert first.done is not None
    assert (second.done, second.begun is not None) == (None, True)
    assert not later.path.exists()
