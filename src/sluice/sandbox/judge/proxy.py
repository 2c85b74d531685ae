"""A trained proxy as judge: what every sample costs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from sluice.errors import UsageError
from sluice.model.device import device_of
from sluice.sandbox.judge.judged import Judgement
from sluice.sandbox.pools import CONTROL, Pool


def proxy_loss(model: Path, ids: Sequence[str], run: object, folder: Path) -> Iterator[Judgement]:
    """`proxy_loss` of each sample of a run; one that cannot be shown to the model has no value."""
    from sluice.sandbox.proxy.sample_losses import sample_losses  # PyTorch, which other judges do without

    shown = folder / "shown.parquet"
    Pool("shown", pa.array(ids, pa.string()), {"run": run}).write(shown)
    losses = sample_losses(model, shown, device=device_of("auto"))
    for each in ids:
        value = losses.get(each)
        reason = "" if value is not None else "no caption, or no picture or video that can be shown"
        yield Judgement(each, "proxy_loss", value, reason)


def proxy_among(models: pa.Table | None, experiment: Path) -> Path:
    """The first model that `train` left of the control; `UsageError` where there is none."""
    for row in models.to_pylist() if models is not None else ():
        if row["arm"] == CONTROL and row["model"]:
            return experiment / str(row["model"])
    raise UsageError(
        "there is no trained proxy to judge by",
        fix="give `proxy_loss: {model: FOLDER}`, or take `models` of a job with the hook `train`",
    )
