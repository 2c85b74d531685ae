"""The report of an experiment: its numbers, its safety, its tables, and how it looks to a browser."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import loop_data
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import workflow_hooks
import yaml

from browser import browser
from sluice.cli import main
from sluice.errors import MissingError, UsageError
from sluice.recipe import load
from sluice.sandbox.analysis import correlations, distribution
from sluice.sandbox.experiment import Score
from sluice.sandbox.recommend import recommend
from sluice.sandbox.registry import evaluator, trainer
from sluice.sandbox.report import Found, build, log, tables, write
from sluice.sandbox.statistics import Comparison, compare, noise_floor
from sluice.sandbox.train.protocol import Better, Trained
from sluice.sandbox.workflow.config import read_workflow
from sluice.sandbox.workflow.runner import run_workflow

HOSTILE = "<script>alert(1)</script>"
GAINS = {
    "sharp-low": -0.5,
    "sharp-mid": 0.0,
    "sharp-high": 0.5,
    f"{HOSTILE}-low": 0.0,
    f"{HOSTILE}-mid": 0.001,
    "words-low": 0.3,
    "sharp-high+words-low": 0.9,
    "repeat-2x": -0.1,
    "repeat-4x": -0.2,
    "extend-2x": 0.2,
    "extend-4x": 0.4,
    "my-mixture": 0.1,
    "lost-low": 0.0,
}


@pytest.fixture(scope="module")
def found() -> Found:
    rng = np.random.default_rng(0)
    scores = [
        Score(arm, seed, metric, None, f"crashed: {HOSTILE}")
        if arm == "lost-low" or (arm, seed) == ("words-low", 2)
        else Score(arm, seed, metric, 1 + sign * gain + 0.02 * float(rng.normal()))
        for metric, sign in (("recall", 1), ("perplexity", -1))
        for arm, gain in {"control": 0.0, "control-2": 0.0, **GAINS}.items()
        for seed in range(6)
    ]
    arms = [s for s in scores if s.arm != "control-2"]
    compared = compare(arms, better={"recall": "higher", "perplexity": "lower"})
    columns = {"sharp": rng.normal(size=60), "words": rng.normal(size=60), "flat": np.ones(60)}
    columns[HOSTILE] = -columns["sharp"]
    models = [
        {"arm": arm, "seed": seed, "model": None if arm == "lost-low" else "m", "reason": None,
         "seconds": 60.0, "gpu_hours": 0.0, "cost": None, "samples_seen": 100}
        for arm in ("control", *GAINS) for seed in range(6)
    ]  # fmt: skip
    return Found(
        HOSTILE,
        comparisons=compared,
        scores=scores,
        noise=noise_floor(scores, ["recall", "perplexity"], again="control-2"),
        pools={
            **{
                f"{kind}-{rate}x": {"kind": kind, "rate": rate}
                for kind in ("repeat", "extend")
                for rate in (2, 4)
            },
            "sharp-high+words-low": {"kind": "lattice", "of": 1234, "lift": 1.087},
        },
        models=models,
        analysis=[distribution(name, values).row() for name, values in columns.items()],
        correlations=[asdict(c) for c in correlations(columns)],
        recommendation=recommend(compared, "recall", scores=scores).to_data(),
        recipe=f"# {HOSTILE}\nsource: in\n",
        lock="sluice: 1\n",
    )


@pytest.fixture(scope="module")
def page(found: Found) -> str:
    return build(found)


def text_of(page: str) -> str:
    words = re.sub("<[^>]+>", " ", re.sub("<(title|style)>.*?</\\1>", " ", page, flags=re.DOTALL))
    return re.sub(" ([:.,])", r"\1", " ".join(words.split()))


def test_the_page_says_what_was_found(page: str) -> None:
    text = text_of(page)
    assert "sharp-high+words-low is better by most in recall: +0.9" in text
    for title in ("The recommended recipe", "Operators", "Combinations", "Repeat against extend", "Other arms",
                  "Noise floor and power", "The data", "How measures correlate", "How metrics correlate", "Cost",
                  "All comparisons"):  # fmt: skip
        assert f"<h2>{title}</h2>" in page
    assert "my-mixture" in text
    assert "1.087" in text
    assert "all values are 1" in text
    assert "measured between the control and control-2" in text


def test_what_is_not_distinguishable_has_no_rank(page: str) -> None:
    table = page[page.index('id="operators"') : page.index('id="lattice"')]
    sure, unsure = table.split("their order means nothing")
    assert re.findall(r'class="rank">(\d*)<', sure) == ["1", "2"]
    assert set(re.findall(r'class="rank">(\d*)<', unsure)) == {""}
    assert "lost" in unsure


def test_seeds_that_were_left_out_and_runs_without_a_result_are_told(page: str) -> None:
    text = text_of(page)
    assert "2: words-low: crashed: &lt;script&gt;" in text
    assert "runs without a result" in text


def test_nothing_becomes_markup_and_nothing_else_is_loaded(page: str) -> None:
    assert "<script" not in page
    assert "style=" not in page
    assert not re.findall(r"""(?:src|href|url\()=?["'(]*(?:https?:)?//""", page)
    assert len(page) < 500_000


def test_less_is_less() -> None:
    assert "Nothing has been compared yet." in build(Found("empty"))
    lost = Found("lost", comparisons=[Comparison("a-low", "recall", "higher", why="no seed has a value")])
    assert "No arm is better than the control in recall." in text_of(build(lost))
    assert tables(Found("empty")) == {}


def test_tables_hold_what_the_page_shows(found: Found) -> None:
    made = tables(found)
    assert set(made) == {
        "comparisons",
        "operators",
        "scores",
        "noise",
        "models",
        "distributions",
        "correlations",
    }
    rows = {(r["arm"], r["metric"]): r for r in made["comparisons"].to_pylist()}
    assert rows["sharp-high", "recall"]["verdict"] == "better"
    assert rows["sharp-high", "perplexity"]["mean"] < 0
    assert rows["words-low", "recall"]["unpaired"][0]["seed"] == 2
    ranks = {r["operator"]: r["rank"] for r in made["operators"].to_pylist() if r["metric"] == "recall"}
    assert ranks == {"sharp": 1, "words": 2, HOSTILE: None, "lost": None}


def test_tables_have_the_same_columns_whatever_was_found(found: Found) -> None:
    """Also where nothing at all has a value."""
    lost = Found(
        "lost",
        comparisons=[Comparison("a-low", "recall", "higher", why="no seed has a value")],
        scores=[Score("a-low", 1, "recall", None, "crashed")],
        noise=noise_floor([], ["recall"]),
        models=[{"arm": "a-low", "seed": 1, "model": None, "reason": "crashed"}],
        analysis=[distribution("a", np.full(3, np.nan)).row()],
        correlations=[asdict(c) for c in correlations({"a": np.full(3, np.nan), "b": np.ones(3)})],
    )
    schemas = {name: table.schema for name, table in tables(lost).items()}
    assert schemas == {name: table.schema for name, table in tables(found).items()}
    assert not [f for schema in schemas.values() for f in schema if pa.types.is_null(f.type)]


@pytest.mark.parametrize("width_px", [390, 1440])
def test_the_page_fits(page: str, tmp_path: Path, width_px: int) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    with browser(tmp_path / "profile") as opened:
        opened.open(tmp_path / "page.html", width_px)
        assert opened.run("return document.documentElement.scrollWidth") <= width_px
        assert opened.complaints() == []
        assert len(opened.requests()) == 1


# Of an experiment on disk


def experiment(folder: Path) -> Path:
    workflow = read_workflow(
        "probe: [{hook: number, settings: {value: 2}}]", "w.yaml", workflow_hooks.hooks()
    )
    run_workflow(workflow, folder)
    return folder


def test_an_experiment_is_reported_at_any_time(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no job of an experiment"):
        write(tmp_path)
    page = write(experiment(tmp_path / "e"))
    assert page == tmp_path / "e" / "report.html"
    assert "Nothing has been compared yet." in page.read_text()


def test_the_command_writes_page_and_tables(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = experiment(tmp_path / "e") / "jobs" / "1.probe.number"
    kept = {"comparison": [c.row() for c in found.comparisons], "noise": [asdict(n) for n in found.noise]}
    for name, value in kept.items():
        (job / f"{name}.json").write_text(json.dumps(value))
    (job / "done.json").write_text(
        json.dumps({"results": {name: {"json": f"{name}.json"} for name in kept}, "seconds": 1})
    )
    (tmp_path / "w.yaml").write_text(
        f"output: {tmp_path / 'e'}\nprobe: [{{hook: pools, settings: {{table: t}}}}]"
    )
    with pytest.raises(SystemExit) as done:
        main(["sandbox", "report", str(tmp_path / "w.yaml"), "--json"])
    assert done.value.code in (0, None)
    assert json.loads(capsys.readouterr().out)["report"].endswith("report.html")
    assert pq.read_table(tmp_path / "e" / "tables" / "comparisons.parquet").num_rows == len(found.comparisons)
    assert "sharp-high+words-low" in (tmp_path / "e" / "report.html").read_text()


@trainer
class weighing:  # noqa: N801 - its name in a workflow
    """A model is as heavy as its data, give or take what the seed does."""

    data_format = "parquet"

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        weight = sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
        (output / "model.json").write_text(
            json.dumps(weight + 10 * float(np.random.default_rng(seed).normal()))
        )
        return Trained(output / "model.json", {}, 1, 0.5, 1000)


@evaluator
class heavy:  # noqa: N801 - its name in a workflow
    """What the model weighs, with a little noise of its own."""

    metrics: ClassVar[Mapping[str, Better]] = {"weight": "higher"}

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> dict[str, float]:
        value = float(json.loads(model.read_text()))
        return {"weight": value + float(np.random.default_rng(int(value)).normal())}


def test_a_whole_experiment_ends_in_a_recipe_and_a_report(tmp_path: Path) -> None:
    """Larger pictures weigh more: the third of the widest is found, its recipe keeps it, and the page says so."""
    run = loop_data.captioned_run(tmp_path)
    measures = ["image_width_px", "text_word_count"]
    planned = {
        "probe": [
            {"hook": "analyze_data", "settings": {"run": str(run), "measures": measures}},
            {"hook": "pools", "settings": {"run": str(run), "measures": ["image_width_px"], "controls": 2}},
        ],
        "execute": [{"hook": "train", "settings": {"trainer": "weighing", "seeds": [1, 2, 3, 4]}}],
        "evaluate": [
            {"hook": "evaluate_model", "settings": {"evaluator": "heavy"}},
            "compare",
            "rank_operators",
            "propose_recipes",
        ],
    }
    components = loop_data.components()
    for each in (weighing, heavy):
        components.add(each.component)  # type: ignore[attr-defined]
    workflow = read_workflow(yaml.safe_dump(planned), "w.yaml", components)
    board = run_workflow(workflow, tmp_path / "e").results
    assert board["ranking"]["chosen"] == board["recommendation"]["conditions"] == ["image_width_px-high"]
    assert load(board["recipes"] / "recipe.yaml").steps[-1].rule == "image_width_px > 35"  # type: ignore[attr-defined]
    text = text_of(write(tmp_path / "e").read_text())
    assert "image_width_px-high is better by most in weight" in text
    assert "image_width_px &gt; 35" in text
    assert (tmp_path / "e" / "tables" / "distributions.parquet").is_file()


# MLflow


class FakeMlflow(ModuleType):
    """The few calls of MLflow that are made, as MLflow checks them."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.runs: list[SimpleNamespace] = []
        self.uri = self.experiment = ""

    def set_tracking_uri(self, uri: str) -> None:
        self.uri = uri

    def set_experiment(self, name: str) -> None:
        self.experiment = name

    def start_run(self, run_name: str) -> Any:
        run = SimpleNamespace(name=run_name, metrics={}, tags={}, params={}, artifacts=[])
        self.runs.append(run)
        return _Opened()

    def log_params(self, params: dict[str, Any]) -> None:
        self.runs[-1].params |= params

    def log_metrics(self, metrics: dict[str, float]) -> None:
        assert all(re.fullmatch(r"[\w\-. /]+", name) for name in metrics)
        self.runs[-1].metrics |= metrics

    def log_metric(self, name: str, value: float) -> None:
        self.log_metrics({name: value})

    def set_tag(self, name: str, value: str) -> None:
        assert re.fullmatch(r"[\w\-. /]+", name)
        self.runs[-1].tags[name] = value

    def log_artifact(self, path: str) -> None:
        self.runs[-1].artifacts.append(path)


class _Opened:
    def __enter__(self) -> None: ...

    def __exit__(self, *args: object) -> None: ...


def test_runs_are_logged_to_mlflow(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    assert log(found, Path("report.html"), uri="file:///x") == len(fake.runs) == 15 * 6 + 1
    assert (fake.uri, fake.experiment) == ("file:///x", HOSTILE)
    first, last = fake.runs[0], fake.runs[-1]
    assert first.params == {"arm": "control", "seed": 0}
    assert set(first.metrics) == {"recall", "perplexity"}
    assert last.tags["recall/sharp-high"] == "better"
    assert last.metrics["gain/perplexity/sharp-high"] > 0
    assert last.artifacts == ["report.html"]


def test_without_mlflow_it_is_said_how_to_get_it(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingError, match="mlflow") as missing:
        log(found, Path("report.html"))
    assert missing.value.fix.startswith("pip install mlflow")
