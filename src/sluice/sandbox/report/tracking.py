"""Logs an experiment to MLflow, where it is asked for: one run for each training, one for the verdicts."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from sluice.errors import MissingError
from sluice.sandbox.report.found import Found


def log(found: Found, page: Path, *, uri: str | None = None) -> int:
    """Log every training's scores, the verdicts and the page to an MLflow server; how many runs were logged.

    The MLflow experiment has the experiment's name; `uri` is the server's (else MLflow's own setting). Logging again
    makes further runs. `MissingError` where mlflow is not installed: it is in no extra, being a large package.
    """
    mlflow = need_mlflow()
    if uri:
        mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(found.name)
    runs: dict[tuple[str, int], dict[str, float]] = {}
    for score in found.scores:
        known = runs.setdefault((score.arm, score.seed), {})
        if score.value is not None:
            known[_key(score.metric)] = score.value
    for (arm, seed), metrics in runs.items():
        with mlflow.start_run(run_name=f"{arm}, seed {seed}"):
            mlflow.log_params({"arm": arm, "seed": seed})
            mlflow.log_metrics(metrics)
    with mlflow.start_run(run_name="comparison"):
        for each in found.comparisons:
            mlflow.set_tag(_key(f"{each.metric}/{each.arm}"), each.verdict)
            if each.gain is not None:
                mlflow.log_metric(_key(f"gain/{each.metric}/{each.arm}"), each.gain)
        mlflow.log_artifact(str(page))
    return len(runs) + 1


def need_mlflow() -> Any:
    """MLflow; `MissingError` where it is not installed, which is better said before an experiment than after it."""
    try:
        return importlib.import_module("mlflow")
    except ImportError as error:
        raise MissingError(f"mlflow cannot be imported: {error}", fix="pip install mlflow-skinny") from error


def _key(name: str) -> str:
    """A name as MLflow takes it: letters, digits and `_-. /`."""
    return re.sub(r"[^\w\-. /]", "_", name)
