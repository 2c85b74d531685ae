"""`sluice sandbox`: a whole experiment over the demo's pictures, planned, run, killed, continued and refused."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from commands import Ran, command

from sluice.cli import main

TRAIN = """
import sys, json, pathlib
data, output, seed = sys.argv[1:]
if seed == "3": sys.exit("out of luck")
size = sum(file.stat().st_size for file in pathlib.Path(data).iterdir())
pathlib.Path(output, "model.json").write_text(json.dumps([size, int(seed)]))
"""
JUDGE = """
import sys, json, pathlib
size, seed = json.loads(pathlib.Path(sys.argv[1]).read_text())
print("accuracy:", size + seed / 10)
"""


def program(code: str, *arguments: str, **more: Any) -> dict[str, Any]:
    escaped = code.replace("{", "{{").replace("}", "}}")
    return {"argv": ["{python}", "-c", escaped, *arguments], **more}


def workflow(**train: Any) -> dict[str, Any]:
    trainer = {
        "program": program(TRAIN, "{train_data}", "{output_dir}", "{seed}", hours=16, price_per_hour=2),
        "data_format": "webdataset",
        "model": "{output_dir}/model.json",
    }
    evaluator = {
        "program": program(JUDGE, "{model}"),
        "results": {"format": "regex", "metrics": {"accuracy": r"accuracy: ([\d.]+)"}},
        "better": {"accuracy": "higher"},
    }
    return {
        "probe": [
            {"hook": "pools", "settings": {"run": "demo/curated", "measures": ["image_contrast"], "cap": 3}}
        ],
        "execute": [
            {"hook": "train", "settings": {"trainer": {"command": trainer}, "seeds": [1, 2], **train}}
        ],
        "evaluate": [{"hook": "evaluate_model", "settings": {"evaluator": {"command": evaluator}}}],
    }


@pytest.fixture
def place(finished_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, beside the demo's run."""
    (tmp_path / "demo").symlink_to(finished_demo / "demo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


Sandbox = Callable[..., Ran]


@pytest.fixture
def sandbox(capsys: pytest.CaptureFixture[str]) -> Sandbox:
    """`sluice sandbox` with these words, in this process: what it imports is half of its time."""

    def run(*words: str) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main(["sandbox", *words])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, said.out, said.err)

    return run


def write(place: Path, wanted: dict[str, Any]) -> None:
    (place / "w.yaml").write_text(yaml.safe_dump({"output": "out", **wanted}))


def test_an_experiment_is_planned_run_and_found_done(place: Path, sandbox: Sandbox) -> None:
    write(place, workflow())
    plan = sandbox("plan", "w.yaml", "--json").document
    train = plan["jobs"][1]
    # A control and three thirds, two seeds each, of 16 hours: at 2 an hour.
    assert (train["runs"], train["seconds_left"], plan["cost_left"]) == (8, 8 * 16 * 3600, 256)
    assert not (place / "out").exists()
    told = sandbox("plan", "w.yaml")
    assert "128 h" in told.out
    assert "how long a run of evaluate_model takes is not known" in told.out
    done = sandbox("run", "w.yaml", "--json")
    assert done.code == 0, done.err
    assert done.document["ran"] == ["pools", "train", "evaluate_model"]
    assert done.document["without_result"] == {"models": 0, "scores": 0}
    assert "8 of 8: image_contrast-mid, seed 2" in done.err
    assert Path(done.document["report"]).read_text().startswith("<!doctype html>")
    assert pq.read_table(Path(done.document["tables"], "models.parquet")).num_rows == 8
    again = sandbox("run", "w.yaml")
    assert (again.code, "3 jobs done before" in again.out) == (0, True)
    assert "report: out/report.html, and its tables in out/tables" in again.out
    after = sandbox("plan", "w.yaml")
    assert "0 jobs of 3 to do" in after.out


def test_runs_without_a_result_are_told_and_none_at_all_is_exit_code_1(place: Path, sandbox: Sandbox) -> None:
    write(place, workflow(seeds=[2, 3]))
    some = sandbox("run", "w.yaml")
    assert some.code == 0, some.err
    assert "4 of 8 rows of models have no value" in some.err
    assert "runs without a result" in (place / "out/report.html").read_text()
    write(place, workflow(seeds=[3]))
    none = sandbox("run", "w.yaml", "--output", "other")
    assert none.code == 1
    assert "4 of 4 rows of scores have no value" in none.err
    assert (place / "other/report.html").is_file()


def test_a_changed_workflow_is_refused_until_begun_anew(place: Path, sandbox: Sandbox) -> None:
    write(place, workflow(seeds=[1]))
    assert sandbox("run", "w.yaml").code == 0
    write(place, workflow(seeds=[1, 4]))
    refused = sandbox("run", "w.yaml")
    assert refused.code == 2
    assert "train.settings.seeds: [1] → [1, 4]" in refused.err
    anew = sandbox("run", "w.yaml", "--restart", "--quiet")
    assert anew.code == 0, anew.err
    assert anew.err == ""


def test_what_a_run_is_to_be_logged_by_is_looked_for_before_it(
    place: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    write(place, workflow(seeds=[1]))
    refused = sandbox("run", "w.yaml", "--mlflow", "file:///x")
    assert "pip install mlflow-skinny" in refused.err
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"probe": [{"hook": "polos"}]}, 2, "did you mean `pools`?"),
        ({"output": None}, 2, "does not say where its results go"),
        ({"prob": []}, 2, "did you mean `probe`?"),
        ({"probe": [{"hook": "pools", "settings": {"run": "demo/source"}}]}, 2, "there is no run here"),
    ],
)
def test_errors_say_what_and_where(
    place: Path, sandbox: Sandbox, change: dict[str, Any], code: int, told: str
) -> None:
    wanted = {k: v for k, v in {"output": "out", **workflow(), **change}.items() if v is not None}
    (place / "w.yaml").write_text(yaml.safe_dump(wanted))
    done = sandbox("run", "w.yaml")
    assert (done.code, told in done.err) == (code, True), done.err
    assert "Traceback" not in done.err


def test_an_interrupted_experiment_says_that_it_goes_on(place: Path) -> None:
    slow = workflow()
    slow["execute"][0]["settings"]["trainer"]["command"]["program"]["argv"][2] = (
        "import time, sys, pathlib; time.sleep(60)"
    )
    write(place, slow)
    process = subprocess.Popen(
        command("sandbox", "run", "w.yaml"), cwd=place, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(place.glob("out/jobs/1.execute.train/files/runs/control/seed-1/log.txt")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted in the job 'train'" in told
    shutil.rmtree(place / "out")
