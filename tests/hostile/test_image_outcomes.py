"""Every bad image file has exactly the outcome that is written down for it, within memory and time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import sluice

HERE = Path(__file__).parent
TABLE = json.loads((HERE / "image_outcomes.json").read_text(encoding="utf-8"))
NOT_IMAGES = {".jsonl", ".mp4", ".mov", ".mkv", ".webm", ".warc", ".gz"}
BY_STATUS = {"ok": "ok", "bad-but-decodes": "ok", "unreadable (intended)": "failed", "bomb": "bomb"}


def _outcomes(paths: list[Path]) -> dict[str, dict[str, str]]:
    """What a process of its own makes of each file; a file that kills it has the outcome `died`."""
    source = str(Path(sluice.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
    found: dict[str, dict[str, str]] = {}
    while paths:
        command = [sys.executable, str(HERE / "decode_in_a_cell.py"), *map(str, paths)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=300, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found |= {line.pop("file"): line for line in lines}
        if len(lines) < len(paths):
            found[paths[len(lines)].name] = {"outcome": "died", "reason": done.stderr[-500:]}
        paths = paths[len(lines) + 1 :]
    return found


def test_outcomes_are_those_of_the_table(data_dir: Path) -> None:
    paths = sorted(p for p in (data_dir / "bad").iterdir() if p.suffix not in NOT_IMAGES)
    told = ("outcome", "reason")
    expected = {name: {key: row[key] for key in told if key in row} for name, row in TABLE.items()}
    assert _outcomes(paths) == expected


def test_the_table_follows_the_manifest_or_says_why_not(data_dir: Path) -> None:
    manifest = json.loads((data_dir / "MANIFEST.json").read_text(encoding="utf-8"))
    status = {f["path"].removeprefix("bad/"): f["status"] for f in manifest["files"]}
    for name, row in TABLE.items():
        assert row["manifest"] == status[name]
        same = BY_STATUS[row["manifest"]] == row["outcome"]
        assert same != ("differs" in row), f"{name}: say in `differs` why, and only where it differs"
