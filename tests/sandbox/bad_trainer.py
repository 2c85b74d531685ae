"""A training program that goes wrong in the way it is told to: `bad_trainer.py HOW DATA OUTPUT SEED`."""

# ruff: noqa: T201 - a program prints
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    how, data, output, seed = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    print(f"training on {data} with seed {seed}, gpus {os.environ.get('CUDA_VISIBLE_DEVICES')}", flush=True)
    result = output / "result.json"
    if how == "crash":
        print("out of luck", file=sys.stderr)
        return 3
    if how == "disk":
        print("OSError: [Errno 28] No space left on device", file=sys.stderr)
        return 1
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how in ("hang", "child"):
        if how == "child":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            (output / "child").write_text(str(child.pid))
        (output / "pid").write_text(str(os.getpid()))
        time.sleep(60)
    if how == "once":
        mark = output.parent / "tried"
        if not mark.exists():
            mark.touch()
            return 1
    if how == "loss":
        print("step 3: loss nan", flush=True)
        time.sleep(60)
    if how == "empty":
        return 0
    (output / "model.bin").write_bytes(b"weights")
    value = {"nan": float("nan"), "text": "good", "none": None}.get(how, 1.5 + seed)
    result.write_text("{" if how == "cut" else json.dumps({"final": {"loss": value}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
