"""A script that runs Sluice needs no guard: workers do not run it again, unless it defines what they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SCRIPT = """
import sluice

print("started")
summary = (
    sluice.read("photos/")
    .keep("image_width_px >= 32")
    .write("curated/")
    .run(workers=2, quiet=True)
)
print(summary["read"], summary["kept"])
"""

GUARDED = """
import numpy as np

from sluice.run.engine import WorkerLimits
from sluice.run.local import LocalEngine


class Double:
    def open(self):
        pass

    def __call__(self, task, beat, skip):
        return 2 * task


if __name__ == "__main__":
    with LocalEngine(1, WorkerLimits(sample_s=30)) as engine:
        print([done.result for done in engine.run(Double(), [1, 2, 3])])
"""


def ran(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for n, width in enumerate((16, 48, 64)):
        Image.linear_gradient("L").rotate(90 * n).resize((width, 40)).save(tmp_path / f"photos/{n}.png")
    return tmp_path


def test_a_script_without_a_guard_runs_once(photos: Path) -> None:
    done = ran(SCRIPT, photos)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "started\n3 2\n"
    assert done.stderr == ""


def test_a_script_that_defines_the_job_is_imported_by_workers(tmp_path: Path) -> None:
    done = ran(GUARDED, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[2, 4, 6]\n"
