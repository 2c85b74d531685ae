"""Other programs as trainers: filled command lines, limits, results, and every way to fail told apart."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sluice.errors import MissingError, TrialError, UsageError
from sluice.sandbox.registry import registry
from sluice.sandbox.train.exported import Exported
from sluice.sandbox.train.parse_results import Results
from sluice.sandbox.train.placeholders import filled, names_in
from sluice.sandbox.train.program import Program
from sluice.sandbox.train.protocol import Trained

BAD = Path(__file__).with_name("bad_trainer.py")


def settings(how: str, **program: Any) -> dict[str, Any]:
    argv = ["{python}", str(BAD), how, "{train_data}", "{output_dir}", "{seed}"]
    return {
        "program": {"argv": argv, **program},
        "results": {
            "format": "json",
            "file": "{output_dir}/result.json",
            "metrics": {"loss": "final.loss"},
        },
        "model": "{output_dir}/*.bin",
        "data_format": "parquet",
    }


def trained(tmp_path: Path, how: str, **program: Any) -> Trained:
    data, output = tmp_path / "data", tmp_path / "runs" / "output"
    data.mkdir()
    output.mkdir(parents=True)
    Exported(data, "parquet", data, data, 7, {}).write()
    made = registry().get("trainer", "command").make(settings(how, **program))
    found: Trained = made.train(data, output, seed=2, log=tmp_path / "log.txt")
    return found


def test_a_program_trains_and_its_results_are_read(tmp_path: Path) -> None:
    found = trained(tmp_path, "well")
    assert found.metrics == {"loss": 3.5}
    assert (found.model.name, found.samples_seen, found.diverged) == ("model.bin", 7, None)
    assert found.seconds > 0
    assert found.cpu_s is not None
    assert found.peak_memory_bytes > 1_000_000
    log = (tmp_path / "log.txt").read_text()
    assert "training on" in log
    assert log.startswith("# $ [")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("crash", "crashed: exit code 3"),
        ("disk", r"crashed: exit code 1 \(disk full\)"),
        ("killed", "killed: signal 9"),
        ("empty", "no result: the program wrote no such file"),
        ("nan", "diverged: loss is nan"),
        ("text", "wrong result: loss is 'good', not a number"),
        ("none", "no result: there is no loss"),
        ("cut", "wrong result: Expecting property name"),
    ],
)
def test_every_way_to_fail_has_its_reason(tmp_path: Path, how: str, reason: str) -> None:
    with pytest.raises(TrialError) as caught:
        trained(tmp_path, how)

    assert re.match(reason, caught.value.reason)


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TrialError) as caught:
        trained(tmp_path, "hang", timeout_s=0.5)
    assert caught.value.reason == "hung: no end after 0.5 s"


def test_a_silent_program_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TrialError) as caught:
        trained(tmp_path, "hang", silent_s=0.6)
    assert caught.value.reason == "hung: not a word for 0.6 s"


def test_a_log_that_tells_of_divergence_ends_the_program(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TrialError) as caught:
        trained(tmp_path, "loss", diverged_when="loss nan")
    assert caught.value.reason == "diverged: loss nan"
    assert time.monotonic() - started < 20


def test_a_crash_is_tried_again(tmp_path: Path) -> None:
    assert trained(tmp_path, "once", retries=1).metrics == {"loss": 3.5}
    assert "try 2 of 2" in (tmp_path / "log.txt").read_text()


def test_the_environment_and_folder_are_the_programs_own(tmp_path: Path) -> None:
    code = "import os; print('mark', os.environ['MARK'], os.getcwd())"
    program = Program(
        argv=["{python}", "-c", code], environment={"MARK": "{seed:03d}"}, folder="{output_dir}"
    )
    used = program.run({"seed": 7, "output_dir": tmp_path}, tmp_path / "log.txt")
    assert f"mark 007 {tmp_path}" in (tmp_path / "log.txt").read_text()
    assert used.cost is None


def test_an_argument_is_never_read_by_a_shell(tmp_path: Path) -> None:
    program = Program(argv=["{python}", "-c", "import sys; print(sys.argv[1:])", "$(touch x); a b", "{{}}"])
    program.run({"seed": 7, "output_dir": tmp_path}, tmp_path / "log.txt")
    assert "['$(touch x); a b', '{}']" in (tmp_path / "log.txt").read_text()


def test_cost_is_hours_by_price(tmp_path: Path) -> None:
    program = Program(argv=["{python}", "-c", "pass"], price_per_hour=3600.0)
    used = program.run({}, tmp_path / "log.txt")
    assert used.cost == pytest.approx(used.seconds)


def test_gpus_are_told_and_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = "import os; print('seen', os.environ['CUDA_VISIBLE_DEVICES'])"
    program = Program(argv=["{python}", "-c", code], gpus=2)
    program.run({}, tmp_path / "log.txt")
    assert "seen 4,5" in (tmp_path / "log.txt").read_text()
    with pytest.raises(MissingError, match="asks for 4 GPUs, and this machine has 3"):
        Program(argv=["x"], gpus=4).run({}, tmp_path / "log.txt")


def test_held_gpus_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sluice.sandbox.train import slots

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(slots, "WAIT_S", 0.01)
    with slots.slots(1) as first, slots.slots(1) as second:
        assert (first, second) == (("0",), ("1",))
    waits: list[float] = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        held.__exit__(None, None, None)

    held = slots.slots(1)
    held.__enter__()
    monkeypatch.setattr("time.sleep", let_go)
    with slots.slots(2) as both:
        assert both == ("0", "1")
    assert waits


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"argv": ["{train_dat}", "{output_dir}", "{seed}"]}, "did you mean `train_data`"),
        ({"argv": ["{output_dir}", "{seed}"]}, "never mentions {train_data}"),
        ({"argv": ["{train_data}", "{output_dir}"]}, "never mentions {seed}"),
        ({"argv": ["{train_data}", "{output_dir:04d}", "{seed}"]}, "format"),
        ({"argv": ["{train_data}", "{output_dir", "{seed}"]}, "write a brace itself"),
        ({"argv": ["{train_data}", "{output_dir}", "{seed.x}"]}, "a placeholder is a name"),
        ({"values": {"steps": 3}}, "no argument uses the value `steps`"),
        ({"diverged_when": "("}, "no regular expression"),
    ],
)
def test_a_wrong_command_is_refused_before_it_runs(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry().get("trainer", "command").make(settings("well", **change))
    assert told in str(caught.value)


def test_a_program_that_is_not_there_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be started"):
        Program(argv=["no-such-program-here"]).run({}, tmp_path / "log.txt")


def test_placeholders_are_found_and_filled() -> None:
    assert names_in("{a}/{b:0{c}d}{{d}}") == ["a", "b", "c"]
    assert filled("{seed:04d} {{x}} {output_dir}", {"seed": 3, "output_dir": Path("/o")}) == "0003 {x} /o"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes as Linux shows them")
def test_a_killed_experiment_takes_its_program_along(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom sluice.sandbox.train.program import Program\n"
        f"Program(argv=['{{python}}', {str(BAD)!r}, 'child', '.', {str(tmp_path)!r}, '1'])"
        f".run({{}}, Path({str(tmp_path / 'log.txt')!r}))"
    )
    experiment = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    experiment.send_signal(signal.SIGKILL)
    experiment.wait()
    pids = [int((tmp_path / name).read_text()) for name in ("pid", "child")]
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in pids if alive(pid)] == []
    assert os.getpid() not in pids


CSV = "split,Overall,AR\ndev,0.51,0.2\ntest,0.61,0.3\n"
JSONL = '{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 3}\n'


@pytest.mark.parametrize(
    ("wanted", "text", "found"),
    [
        ({"format": "json", "metrics": {"a": "x.0.y", "b": "x.-1.y"}}, '{"x":[{"y":1},{"y":"2%"}]}', [1, 2]),
        ({"format": "jsonl", "metrics": {"loss": "loss"}}, JSONL, [2]),
        ({"format": "csv", "metrics": {"all": "Overall"}, "where": {"split": "dev"}}, CSV, [0.51]),
        ({"format": "csv", "metrics": {"all": "Overall"}, "scale": 100}, CSV, [61]),
        (
            {"format": "regex", "metrics": {"acc": r"Accuracy: ([\d.]+)%"}},
            "Accuracy: 1%\nAccuracy: 58.2%",
            [58.2],
        ),
    ],
)
def test_results_are_read(wanted: dict[str, Any], text: str, found: list[float], tmp_path: Path) -> None:
    (tmp_path / "result").write_text(text)
    read = Results(**wanted, file="{output_dir}/res*").read({"output_dir": tmp_path})
    assert list(read.values()) == pytest.approx(found)


@pytest.mark.parametrize(
    ("wanted", "text", "reason"),
    [
        ({"format": "csv", "metrics": {"a": "x"}, "where": {"split": "no"}}, CSV, "wrong result: 0 rows"),
        ({"format": "csv", "metrics": {"a": "x"}}, CSV, "no result: there is no a"),
        ({"format": "csv", "metrics": {"a": "x"}}, "", "no result: there is no a"),
        ({"format": "json", "metrics": {"a": "x"}}, '{"x": true}', "wrong result: a is a bool"),
        ({"format": "json", "metrics": {"a": "x"}}, '{"x": Infinity}', "diverged: a is inf"),
        ({"format": "jsonl", "metrics": {"a": "x"}}, '{"x": 1}\n{"x', "wrong result: Unterminated"),
        ({"format": "regex", "metrics": {"a": "x=(.*)"}}, "y=1", "no result: there is no a"),
    ],
)
def test_what_is_no_result_is_told(wanted: dict[str, Any], text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "result").write_text(text)
    with pytest.raises(TrialError) as caught:
        Results(**wanted, file="{output_dir}/result").read({"output_dir": tmp_path})
    assert caught.value.reason.startswith(reason)


def test_two_files_where_one_is_wanted_are_no_result(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(TrialError, match="2 files match"):
        Results(format="json", file="{output_dir}/*.json", metrics={"a": "a"}).read({"output_dir": tmp_path})


def test_results_that_can_never_be_read_are_refused() -> None:
    with pytest.raises(UsageError, match="must have one group"):
        Results(format="regex", metrics={"a": "x"}).check([], {})
    with pytest.raises(UsageError, match="did you mean `output_dir`"):
        Results(format="json", file="{output_dri}/x", metrics={"a": "x"}).check([], {})
    with pytest.raises(UsageError, match="do not name the same metrics: `b`"):
        registry().get("evaluator", "command").make(
            {
                "program": {"argv": ["x"]},
                "results": {"format": "json", "metrics": {"a": "a"}},
                "better": {"a": "higher", "b": "lower"},
            }
        )


def test_a_program_answers_prompts_and_another_judges_them(tmp_path: Path) -> None:
    answer = "import sys, pathlib; pathlib.Path(sys.argv[3], 'a.txt').write_text(sys.argv[1] + sys.argv[2])"
    inferencer = registry().get("inferencer", "command")
    made = inferencer.make(
        {"program": {"argv": ["{python}", "-c", answer, "{model}", "{prompts}", "{output_dir}"]}}
    )
    found = made.infer(Path("m"), Path("p"), tmp_path, seed=1, log=tmp_path / "log" / "l.txt")
    assert (found / "a.txt").read_text() == "mp"
    judge = registry().get("evaluator", "command")
    judged = judge.make(
        {
            "program": {
                "argv": ["{python}", "-c", "import sys; print('score', len(sys.argv[1]))", "{data}/a.txt"]
            },
            "results": {"format": "regex", "metrics": {"score": r"^score (\d+)"}},
            "better": {"score": "higher"},
        }
    )
    score = judged.evaluate(Path("m"), found, tmp_path, seed=1, log=tmp_path / "judge.txt")
    assert score == {"score": len(f"{found}/a.txt")}
    nothing = inferencer.make(
        {"program": {"argv": ["{python}", "-c", "pass", "{model}{prompts}{output_dir}"]}}
    )
    (tmp_path / "none").mkdir()
    with pytest.raises(TrialError, match="left no answers"):
        nothing.infer(Path("m"), Path("p"), tmp_path / "none", seed=1, log=tmp_path / "log.txt")


def test_waiting_for_a_gpu_can_be_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sluice.sandbox.train import slots

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(slots.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(slots, "WAIT_S", 0.01)
    looks = iter([False, False, True])
    with slots.slots(1), pytest.raises(KeyboardInterrupt), slots.slots(1, lambda: next(looks)):
        pass
