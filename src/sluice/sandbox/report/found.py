"""All that an experiment found, as the report needs it: read off its blackboard, whatever is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from sluice.errors import UsageError
from sluice.sandbox.experiment import Score, scores_of
from sluice.sandbox.pools import Pool
from sluice.sandbox.proposal import LOCK, RECIPE
from sluice.sandbox.statistics import Comparison, Noise
from sluice.sandbox.workflow.blackboard import Blackboard

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """The results of an experiment that a report shows; what no job gave is empty.

    `pools` are the origins of the arms' pools, with their sizes as `size`; `models` the rows that `train` gave;
    `recipe` and `lock` the texts of what was proposed.
    """

    name: str
    comparisons: Sequence[Comparison] = ()
    scores: Sequence[Score] = ()
    noise: Sequence[Noise] = ()
    pools: Mapping[str, Row] = field(default_factory=dict)
    models: Sequence[Row] = ()
    analysis: Sequence[Row] = ()
    correlations: Sequence[Row] = ()
    clusters: Row = field(default_factory=dict)
    verdict: Row = field(default_factory=dict)
    recommendation: Row = field(default_factory=dict)
    recipe: str = ""
    lock: str = ""

    @property
    def metric(self) -> str:
        """The main metric: that of the verdict, else the first compared; empty where nothing was."""
        known = [c.metric for c in self.comparisons]
        main = str(self.verdict.get("metric") or "")
        return main if main in known else next(iter(known), "")

    @property
    def metrics(self) -> list[str]:
        """All metrics compared, in order."""
        return list(dict.fromkeys(c.metric for c in self.comparisons))


def read(output: Path) -> Found:
    """What an experiment in the folder has found so far; `UsageError` where none was begun there."""
    board = Blackboard.read(output)
    if not any(folder.done for folder in board.folders()):
        raise UsageError(
            "no job of an experiment has finished here",
            where=str(output),
            fix="sluice sandbox run WORKFLOW --output PATH",
        )
    recipes = board.get("recipes")
    return Found(
        output.name,
        comparisons=[Comparison.from_row(row) for row in _rows(board, "comparison")],
        scores=scores_of(board["scores"]) if "scores" in board else (),
        noise=[Noise(**row) for row in _rows(board, "noise")],
        pools=_pools(board),
        models=_rows(board, "models"),
        analysis=_rows(board, "analysis"),
        correlations=_rows(board, "correlations"),
        clusters=board.get("clusters", {}),
        verdict=board.get("verdict", {}),
        recommendation=board.get("recommendation", {}),
        recipe=_text(recipes, RECIPE),
        lock=_text(recipes, LOCK),
    )


def _rows(board: Blackboard, name: str) -> list[dict[str, Any]]:
    value = board.get(name, [])
    return list(value.to_pylist()) if isinstance(value, pa.Table) else list(value)


def _pools(board: Blackboard) -> Mapping[str, Row]:
    folder = board.get("pools")
    if not isinstance(folder, Path) or not folder.is_dir():
        return {}
    return Pool.origins(folder)


def _text(recipes: Any, name: str) -> str:
    file = recipes / name if isinstance(recipes, Path) else None
    return file.read_text(encoding="utf-8") if file is not None and file.is_file() else ""
