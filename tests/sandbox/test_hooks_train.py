"""Training, answering and judging every arm with every seed: failures are told, and nothing is done twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import loop_data
import pyarrow as pa
import pytest
import yaml

from sluice.errors import RunError, TrialError, UsageError
from sluice.sandbox.experiment import scores_of
from sluice.sandbox.pools import Pool
from sluice.sandbox.train.protocol import Trained
from sluice.sandbox.train.results import trained
from sluice.sandbox.train.trials import Trial, carry_out, resumes
from sluice.sandbox.workflow.blackboard import Blackboard
from sluice.sandbox.workflow.config import read_workflow
from sluice.sandbox.workflow.runner import run_workflow


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loop_data.captioned_run(tmp_path_factory.mktemp("loop"))


def experiment(
    output: Path, measured: Path, *phases: tuple[str, str, dict[str, Any]], **more: Any
) -> Blackboard:
    """Pools of widths, then these jobs, each by its phase, hook and settings."""
    workflow: dict[str, Any] = {
        "probe": [{"hook": "pools", "settings": {"run": str(measured), "measures": ["image_width_px"]}}]
    }
    for phase, hook, job in phases:
        workflow.setdefault(phase, []).append({"hook": hook, **job})
    planned = read_workflow(yaml.safe_dump(workflow), "w.yaml", loop_data.components())
    return run_workflow(planned, output, **more).results


def training(seeds: Any = (1, 2), **trainer: Any) -> tuple[str, str, dict[str, Any]]:
    return "execute", "train", {"settings": {"trainer": {"counting": trainer}, "seeds": list(seeds)}}


JUDGED = ("evaluate", "evaluate_model", {"settings": {"evaluator": "sized"}})


def test_every_arm_is_trained_with_every_seed_and_judged(measured: Path, tmp_path: Path) -> None:
    board = experiment(tmp_path, measured, training(), JUDGED)
    models = board["models"].to_pylist()
    arms = ["control", "image_width_px-high", "image_width_px-low", "image_width_px-mid"]
    assert [(m["arm"], m["seed"]) for m in models] == [(arm, seed) for arm in arms for seed in (1, 2)]
    assert {(m["samples"], m["samples_seen"], m["reason"], m["cost"]) for m in models} == {(8, 8, None, None)}
    assert all((tmp_path / m["model"]).is_file() for m in models)
    assert not list((tmp_path / "jobs/1.execute.train/files").glob("exports"))
    scores = scores_of(board["scores"])
    assert [(s.arm, s.seed, s.metric, s.value) for s in scores[:3]] == [
        ("control", 1, "samples", 8.01),
        ("control", 1, "bytes", 0.0),
        ("control", 2, "samples", 8.02),
    ]
    assert board["better"] == {"samples": "higher", "bytes": "lower"}
    assert [s.value for s in scores_of(board["training"])[:2]] == [1.0, 0.5]


def test_a_run_that_went_wrong_is_a_score_without_value_and_with_its_reason(
    measured: Path, tmp_path: Path
) -> None:
    board = experiment(tmp_path, measured, training((1, 2, 3), fails=(2,), diverges=(3,)), JUDGED)
    models = {(m["arm"], m["seed"]): m for m in board["models"].to_pylist()}
    assert models["control", 2]["model"] is None
    assert models["control", 2]["reason"] == "crashed: ZeroDivisionError: planted"
    assert models["control", 3]["reason"] == "diverged: loss is NaN at step 3"
    scores = {(s.arm, s.seed, s.metric): s for s in scores_of(board["scores"])}
    assert scores["control", 1, "samples"].value == 8.01
    for seed, reason in ((2, "crashed: ZeroDivisionError: planted"), (3, "diverged: loss is NaN at step 3")):
        for metric in ("samples", "bytes"):
            found = scores["control", seed, metric]
            assert (found.value, found.reason) == (None, reason)
    log = tmp_path / "jobs/1.execute.train/files/runs/control/seed-2/log.txt"
    assert "Traceback" in log.read_text()
    losses = {(s.arm, s.seed): (s.value, s.reason) for s in scores_of(board["training"])}
    assert losses["control", 1] == (1.0, "")
    assert losses["control", 3] == (None, "diverged: loss is NaN at step 3")


def test_an_evaluator_that_gives_nothing_fails_that_score(measured: Path, tmp_path: Path) -> None:
    judged = ("evaluate", "evaluate_model", {"settings": {"evaluator": {"sized": {"silent": [2]}}}})
    scores = scores_of(experiment(tmp_path, measured, training(), judged)["scores"])
    assert {s.reason for s in scores if s.seed == 2} == {"no result: silent"}
    assert {s.reason for s in scores if s.seed == 1} == {""}


def test_chosen_arms_and_always_the_control(measured: Path, tmp_path: Path) -> None:
    job = {"settings": {"trainer": "counting", "seeds": 1, "arms": ["*-low"], "keep_exports": True}}
    board = experiment(tmp_path / "a", measured, ("execute", "train", job))
    assert [m["arm"] for m in board["models"].to_pylist()] == ["control", "image_width_px-low"]
    assert (tmp_path / "a/jobs/1.execute.train/files/exports/control/export.json").exists()
    job["settings"]["arms"] = ["*-lwo"]
    with pytest.raises(UsageError, match=r"no pool is called '\*-lwo'"):
        experiment(tmp_path / "b", measured, ("execute", "train", job))


@pytest.mark.parametrize(
    ("seeds", "told"), [([], "there is no seed"), ([1, 1], "named twice"), (0, "there is no seed")]
)
def test_seeds_are_checked(measured: Path, tmp_path: Path, seeds: Any, told: str) -> None:
    job = {"settings": {"trainer": "counting", "seeds": seeds}}
    with pytest.raises(Exception, match=told):
        experiment(tmp_path, measured, ("execute", "train", job))


def test_an_empty_pool_is_an_arm_without_models(measured: Path, tmp_path: Path) -> None:
    experiment(tmp_path, measured)
    file = tmp_path / "jobs/1.probe.pools/files/pools/nothing.parquet"
    Pool("nothing", pa.array([], pa.string()), {"run": str(measured)}).write(file)
    board = experiment(tmp_path, measured, training((1,)), JUDGED)
    found = {s.arm: (s.value, s.reason) for s in scores_of(board["scores"]) if s.metric == "samples"}
    assert found["nothing"] == (None, "empty pool: no samples to train on")
    assert found["control"][0] == 8.01


PROGRAM = """
import json, sys, time, os
from pathlib import Path
data, output, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
lines = Path(os.environ["JOURNAL"]).open("a")
lines.write(f"{data.parent.name}/{data.name} {seed}\\n")
(output / "model.json").write_text(json.dumps({"samples": len(json.loads(data.read_text())), "seed": seed}))
print("loss: 0.5")
"""


def by_program(tmp_path: Path, **settings: Any) -> tuple[str, str, dict[str, Any]]:
    argv = loop_data.program(PROGRAM, "{train_data}", "{output_dir}", "{seed}")
    program = {**argv, "environment": {"JOURNAL": str(tmp_path / "journal")}, "price_per_hour": 3600.0}
    command = {
        "program": program,
        "data_format": "llava",
        "model": "{output_dir}/model.json",
        "results": {"format": "regex", "metrics": {"loss": "loss: ([0-9.]+)"}},
    }
    return "execute", "train", {"settings": {"trainer": {"command": command}, "seeds": [1, 2], **settings}}


def test_programs_train_beside_each_other_on_what_is_exported_for_them(
    measured: Path, tmp_path: Path
) -> None:
    board = experiment(tmp_path / "out", measured, by_program(tmp_path, at_once=4), JUDGED)
    assert len((tmp_path / "journal").read_text().splitlines()) == 8
    models = board["models"].to_pylist()
    assert all(
        m["samples"] == m["samples_seen"] == 8 and m["cost"] == pytest.approx(m["seconds"]) for m in models
    )
    assert {s.value for s in scores_of(board["training"])} == {0.5}


def test_a_killed_experiment_goes_on_at_the_first_run_that_had_not_ended(
    measured: Path, tmp_path: Path
) -> None:
    jobs = (by_program(tmp_path), JUDGED)
    whole = experiment(tmp_path / "whole", measured, *jobs)
    (tmp_path / "journal").unlink()
    experiment(tmp_path / "killed", measured, *jobs)
    # As if it had been killed in the fourth run: that one and all later ones have not ended.
    place = tmp_path / "killed/jobs/1.execute.train"
    (place / "done.json").unlink()
    records = [place / f"files/runs/{arm}/seed-2/done.json" for arm in ("control", "image_width_px-mid")]
    for record in records:
        record.unlink()
        (record.parent / "output/half.bin").write_bytes(b"left")
    again = experiment(tmp_path / "killed", measured, *jobs)
    assert len((tmp_path / "journal").read_text().splitlines()) == 8 + 2
    assert not (records[0].parent / "output/half.bin").exists()
    for name in ("scores", "training"):
        assert again[name].equals(whole[name])


def test_programs_of_this_process_are_one_at_a_time(measured: Path, tmp_path: Path) -> None:
    job = {"settings": {"trainer": "counting", "at_once": 2}}
    with pytest.raises(UsageError, match="counting does one run at a time"):
        experiment(tmp_path, measured, ("execute", "train", job))


def test_what_is_wrong_for_all_runs_ends_the_job(measured: Path, tmp_path: Path) -> None:
    phase, hook, job = by_program(tmp_path, at_once=2)
    job["settings"]["trainer"]["command"]["program"]["argv"][0] = "no-such-program-here"
    with pytest.raises(UsageError, match="cannot be started"):
        experiment(tmp_path / "out", measured, (phase, hook, job))
    assert not list((tmp_path / "out").rglob("seed-1/done.json"))


def test_answers_are_judged(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("what?")
    answer = "import sys, pathlib; pathlib.Path(sys.argv[3], 'a').write_text(pathlib.Path(sys.argv[2]).read_text() * 2)"
    command = {
        "program": loop_data.program(answer, "{model}", "{prompts}", "{output_dir}"),
        "answers": "{output_dir}/a",
    }
    job = {
        "settings": {
            "inferencer": {"command": command},
            "prompts": str(tmp_path / "prompts.txt"),
            "at_once": 2,
        }
    }
    board = experiment(tmp_path / "out", measured, training(fails=(2,)), ("execute", "infer", job), JUDGED)
    assert [a["reason"] for a in board["answers"].to_pylist()[:2]] == [
        None,
        "crashed: ZeroDivisionError: planted",
    ]
    found = {
        (s.seed, s.metric): (s.value, s.reason) for s in scores_of(board["scores"]) if s.arm == "control"
    }
    assert found[1, "bytes"] == (10.0, "")
    assert found[2, "bytes"] == (None, "crashed: ZeroDivisionError: planted")
    both = ("evaluate", "evaluate_model", {"settings": {"evaluator": "sized", "data": str(tmp_path)}})
    with pytest.raises(UsageError, match="both held-out data and answers"):
        experiment(tmp_path / "b", measured, training((1,)), ("execute", "infer", job), both)


def test_several_evaluations_make_one_table(measured: Path, tmp_path: Path) -> None:
    code = "print('fvd', 120.5)"
    fvd = {
        "program": loop_data.program(code, "{model}"),
        "results": {"format": "regex", "metrics": {"fvd": r"fvd ([\\d.]+)"}},
        "better": {"fvd": "lower"},
    }
    other = ("evaluate", "evaluate_model", {"name": "fvd", "settings": {"evaluator": {"command": fvd}}})
    board = experiment(tmp_path, measured, training((1,)), JUDGED, other)
    assert {s.metric for s in scores_of(board["scores"])} == {"samples", "bytes", "fvd"}
    assert board["better"] == {"samples": "higher", "bytes": "lower", "fvd": "lower"}


def test_the_model_that_everything_starts_from(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(json.dumps({"samples": 5, "seed": 0}))
    job = {"settings": {"model": str(tmp_path / "base.json"), "evaluator": "sized"}}
    board = experiment(tmp_path / "out", measured, ("probe", "probe_model", job))
    assert [(s.arm, s.metric, s.value) for s in scores_of(board["baseline"])] == [
        ("baseline", "samples", 5.01),
        ("baseline", "bytes", 0.0),
    ]
    job["settings"]["model"] = str(tmp_path / "gone.json")
    with pytest.raises(UsageError, match="no model here"):
        experiment(tmp_path / "b", measured, ("probe", "probe_model", job))


def test_a_recipe_is_run_and_pools_drawn_from_it(measured: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "wide.yaml"
    recipe.write_text(loop_data.RULES.replace("image_width_px >= 16", "image_width_px >= 32"))
    source = str(measured.parent / "in")
    process = {"hook": "process", "settings": {"recipe": str(recipe), "source": source, "workers": 0}}
    draw = {"hook": "pools", "settings": {"measures": ["image_width_px"]}}
    text = yaml.safe_dump({"probe": [process, draw]})
    planned = read_workflow(text, "w.yaml", loop_data.components())
    board = run_workflow(planned, tmp_path / "out").results
    assert board["processed"]["kept"] == 12
    assert (tmp_path / "out/sluice-store").is_dir()
    assert {len(Pool.read(f)) for f in board["pools"].iterdir()} == {4}
    nothing = yaml.safe_dump({"probe": [{"hook": "process"}]})
    with pytest.raises(UsageError, match="no recipe to run"):
        run_workflow(read_workflow(nothing, "w.yaml", loop_data.components()), tmp_path / "none")


def test_distributions_are_told(measured: Path, tmp_path: Path) -> None:
    job = {"settings": {"run": str(measured), "measures": ["image_width_px"]}}
    row = experiment(tmp_path, measured, ("probe", "analyze_data", job))["analysis"].to_pylist()[0]
    assert (row["values"], row["nulls"], row["min"], row["max"]) == (24, 0, 20.0, 43.0)
    assert (row["mean"], row["q50"]) == (31.5, 31.5)


def test_a_trial_that_cannot_be_noted_ends_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Trial, record: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Trial, "end", full)
    with pytest.raises(OSError, match="No space left"):
        carry_out([Trial.of(tmp_path, "a", 1)], lambda trial: {})
    assert Trial.of(tmp_path, "a", 1).record() is None


def test_an_interrupted_crowd_is_ended_at_once(tmp_path: Path) -> None:
    from sluice.sandbox.train.program import Program

    program = Program(argv=["{python}", "-c", "import time; time.sleep(60)"])

    def work(trial: Trial) -> dict[str, Any]:
        if trial.seed == 1:
            raise UsageError("wrong for all")
        program.run({}, trial.log)
        return {}

    trials = [Trial.of(tmp_path, "a", seed) for seed in range(1, 6)]
    with pytest.raises(UsageError):
        carry_out(trials, work, at_once=3)
    assert [trial.record() for trial in trials] == [None] * 5


def test_jobs_that_fail_say_which(measured: Path, tmp_path: Path) -> None:
    missing = {"settings": {"recipe": str(tmp_path / "none.yaml")}}
    with pytest.raises((RunError, Exception), match="job 'process'"):
        experiment(tmp_path, measured, ("execute", "process", missing))


def test_a_metric_that_is_no_number_fails_that_run_alone(tmp_path: Path) -> None:
    losses = {1: float("nan"), 2: 0.5}
    trials = [Trial.of(tmp_path, "a", seed) for seed in losses]
    records = carry_out(trials, lambda trial: {"metrics": {"loss": losses[trial.seed]}})
    assert records[0]["reason"].startswith("crashed: ValueError")
    assert records[1]["metrics"] == {"loss": 0.5}

    class Spoiled(loop_data.counting):
        def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
            return Trained(output, {"loss": float("inf")}, 1, 0.1, 1)

    with pytest.raises(TrialError, match="loss is inf"):
        trained(Spoiled(), tmp_path, trials[0])


def test_a_killed_run_finds_what_it_left_where_it_can_go_on_from_it(tmp_path: Path) -> None:
    trial = Trial.of(tmp_path, "a", 1)
    found = []

    def work(trial: Trial) -> dict[str, Any]:
        found.append((trial.output / "checkpoint").exists())
        (trial.output / "checkpoint").write_text("half")
        if len(found) < 3:
            raise KeyboardInterrupt
        return {}

    for goes_on in (False, False, True):
        try:
            carry_out([trial], work, resumes=goes_on)
        except KeyboardInterrupt:
            continue
    assert found == [False, False, True]


def test_a_run_on_other_data_is_never_taken_for_this_pools(measured: Path, tmp_path: Path) -> None:
    """Models decide on pools, and these on models, in one round: once a failed one is there, the pools are others."""
    broken = tmp_path / "broken"
    broken.touch()
    code = PROGRAM.replace("print(", "assert seed == 1 or not Path(os.environ['BROKEN']).exists()\nprint(")
    _, _, second = by_program(tmp_path)
    first = json.loads(json.dumps(second))
    program = first["settings"]["trainer"]["command"]["program"]
    program["argv"] = loop_data.program(code, "{train_data}", "{output_dir}", "{seed}")["argv"]
    program["environment"]["BROKEN"] = str(broken)
    workflow = {
        "probe": [{"hook": "pools", "settings": {"run": str(measured), "measures": ["image_width_px"]}}],
        "execute": [
            {"hook": "train", **first},
            {"hook": "first_of"},
            {"hook": "train", "name": "again", **second},
            {"hook": "evaluate_model", "settings": {"evaluator": "sized"}},
        ],
    }
    planned = read_workflow(yaml.safe_dump(workflow), "w.yaml", loop_data.components())

    def samples(board: Blackboard) -> dict[str, set[float | None]]:
        scores = [s for s in scores_of(board["scores"]) if s.metric == "samples"]
        return {
            arm: {s.value and int(s.value) for s in scores if s.arm == arm} for arm in ("control", "some")
        }

    assert samples(run_workflow(planned, tmp_path / "out").results) == {"control": {8}, "some": {4}}
    broken.unlink()
    (tmp_path / "journal").unlink()
    again = run_workflow(planned, tmp_path / "out", retry_failed=True).results
    assert samples(again) == {"control": {8}, "some": {8}}
    # The four that had failed, and `some` with both seeds; the control's second models are what they were.
    lines = (tmp_path / "journal").read_text().splitlines()
    assert len(lines) == 4 + 2
    assert [line for line in lines if line.startswith("some")] == ["some/00000.json 1", "some/00000.json 2"]


def test_what_was_left_is_another_trials_where_it_was_given_something_else(tmp_path: Path) -> None:
    old, new = (Trial.of(tmp_path, "a", 1, given) for given in ("these ids", "those ids"))
    old.begin(keep=True)
    (old.output / "checkpoint").write_text("half")
    old.begin(keep=True)
    assert (old.output / "checkpoint").exists()
    old.end({"reason": ""})
    assert (old.record(), new.record()) == ({"reason": ""}, None)
    new.begin(keep=True)
    assert not (new.output / "checkpoint").exists()


def test_the_built_in_trainers_go_on_from_their_checkpoints() -> None:
    from sluice.sandbox.registry import registry

    made = [
        registry().get("trainer", name).make({"device": "cpu"}) for name in ("image_text", "text_to_video")
    ]
    assert all(resumes(each) for each in made)
    assert not resumes(loop_data.counting())
