"""Writes constraints.txt: one environment in which the core and every extra work together.

    python tools/lock.py            keep the versions in constraints.txt, add what is new
    python tools/lock.py --upgrade  take the newest versions that fit together

It asks pip what it would install for everything at once and installs nothing. Made on one Python and one
platform; a package that others need besides is simply not constrained.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
EVERYTHING = ".[all,dev,demo]"

HELD = {"torch": "2.13.0"}
"""Raised by hand: a release of these changes scores, or drags in gigabytes that nobody asked for."""

BANNED = {
    "torchvision": "a mismatched one makes all of transformers fail to import",
    "opencv-python": "two OpenCV wheels overwrite each other's files",
    "opencv-contrib-python": "two OpenCV wheels overwrite each other's files",
}
"""What must never be in the environment, and why."""

HEADER = """\
# One environment for the core and every extra; written by tools/lock.py, used by make. Do not edit.
"""


def resolved(constraints: Path | None) -> dict[str, str]:
    """Name to version of everything that pip would install, the project itself left out."""
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder, "held.txt")
        held.write_text("".join(f"{name}=={version}\n" for name, version in HELD.items()))
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"]
        command += ["--report", str(report), "-c", str(held)]
        command += ["-c", str(constraints)] if constraints else []
        subprocess.run([*command, EVERYTHING], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
        return pins(json.loads(report.read_text()))


def pins(report: dict[str, Any]) -> dict[str, str]:
    """The versions of a pip report. The part after `+` names a build (`+cpu`), which is no one's business."""
    found = [entry["metadata"] for entry in report["install"]]
    return {
        re.sub(r"[-_.]+", "-", data["name"]).lower(): data["version"].partition("+")[0]
        for data in found
        if data["name"] != "sluice"
    }


def main() -> int:
    """Resolve, refuse what is banned, write; prints what changed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--upgrade", action="store_true", help="do not keep the versions of constraints.txt")
    keep = CONSTRAINTS if CONSTRAINTS.exists() and not parser.parse_args().upgrade else None
    found = resolved(keep)
    if banned := sorted(BANNED.keys() & found.keys()):
        print("\n".join(f"{name} must not be installed: {BANNED[name]}" for name in banned), file=sys.stderr)
        return 1
    text = HEADER + "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))
    CONSTRAINTS.write_text(text)
    print(f"{CONSTRAINTS.name}: {len(found)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
