"""A training program and its judge: `unsteady.py train HOW… DATA OUTPUT SEED` goes wrong in the way of its seed."""

# ruff: noqa: T201 - a program prints
from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def train(hows: list[str], data: Path, output: Path, seed: int) -> int:
    """Train, or go wrong: the first seed in the first way, the second in the second."""
    how = hows[seed - 1]
    if how == "crash":
        raise ValueError("planted")
    if how == "hang":
        time.sleep(60)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "full":
        with Path("/dev/full").open("w") as disk:
            disk.write("weights")
    if how == "nothing":
        return 0
    if how == "slow":
        time.sleep(0.3)
    size = sum(len(row["conversations"][1]["value"]) for row in json.loads(data.read_text()))
    (output / "model.json").write_text(json.dumps({"size": size, "seed": seed}))
    print("loss:", {"nan": "nan", "words": "low"}.get(how, 1 / size))
    return 0


def judge(model: Path) -> int:
    """Tell how good the model is: by what it was trained on, and by its seed."""
    found = json.loads(model.read_text())
    noise = (found["seed"] * 7919 % 13) / 100
    print("score:", found["size"] + noise)
    return 0


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what == "judge":
        sys.exit(judge(Path(given[0])))
    sys.exit(train(given[:-3], Path(given[-3]), Path(given[-2]), int(given[-1])))
