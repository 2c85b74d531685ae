"""What the tests of whole runs share: sources of every format, runs of them, and what is left to compare."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from small_pictures import picture

from sluice.recipe.load import loads
from sluice.recipe.recipe import Recipe
from sluice.run import run
from sluice.store.fates import PARENT_FATES
from sluice.store.opened import Run

FATES = ("kept", "dropped", "duplicate", "failed")
BROKEN = b"words, not a picture"


def recipe_of(steps: str, source: Path | str, *settings: str, write: str = "") -> Recipe:
    """A recipe of these steps (YAML, unindented) over a source."""
    written = f"{{path: out{', ' + write if write else ''}}}"
    return loads(f"source: in\nsteps:\n{steps}\nwrite: {written}\n", settings, source=str(source))


def go(folder: Path, steps: str, *settings: str, write: str = "", **options: Any) -> dict[str, Any]:
    """Run steps over `folder/in` into `folder/out`, in this process unless `workers` says otherwise."""
    source = options.pop("source", folder / "in")
    output = str(options.pop("output", folder / "out"))
    recipe = recipe_of(steps, source, *settings, write=write)
    return run(recipe, output=output, **{"workers": 0, "quiet": True, **options})


def measured(summary: dict[str, Any]) -> int:
    """How many samples all measuring passes of a run touched."""
    return sum(step["items"] for step in summary["steps"] if step["name"].startswith("measure"))


def fates_at(level: dict[str, Any]) -> tuple[str, ...]:
    """What may become of what is counted at a level."""
    return PARENT_FATES if level.get("name") == "parents" else FATES


def balanced(summary: dict[str, Any]) -> bool:
    """Conservation at every level, and every drop under a rule's name."""
    levels = [summary, *summary.get("levels", ())]
    whole = all(level["read"] == sum(level[fate] for fate in fates_at(level)) for level in levels)
    by_rule = sum(summary["by_rule"].values()) == summary["dropped"] + summary["duplicate"]
    return whole and by_rule and sum(summary["failures"].values()) == summary["failed"]


def digests(output: Path) -> dict[str, str]:
    """A digest of every file that two runs of one recipe must agree on."""
    moving = {"_sluice/summary.json", "_sluice/run.json", "_sluice/report.html"}
    files = {p.relative_to(output).as_posix(): p for p in output.rglob("*") if p.is_file()}
    return {
        n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in sorted(files.items()) if n not in moving
    }


def fates_of(output: Path) -> dict[str, dict[str, Any]]:
    """The selection by key."""
    return {row["key"]: row for row in pq.read_table(output / "selection.parquet").to_pylist()}


def members(output: Path) -> dict[str, bytes]:
    """Every member of the output's tars with its bytes."""
    found: dict[str, bytes] = {}
    for path in sorted(output.glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                data = tar.extractfile(info)
                assert data is not None
                assert info.name not in found
                found[info.name] = data.read()
    return found


def values_of(output: Path, column: str) -> dict[str, Any]:
    """A column of the run's wide table by key."""
    table = Run.open(str(output)).table
    rows = table.rows(range(len(table)), ["key", column])
    return {row["key"]: row[column] for row in rows}


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    """A plain tar of these members in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_source(folder: Path, form: str, samples: list[dict[str, bytes]]) -> Path:
    """Samples (item name → bytes) named s0, s1, … as a source of one format; tables take the first picture."""
    folder.mkdir(parents=True)
    if form in ("folder", "tar"):
        files = {f"s{k:02d}.{name}": data for k, s in enumerate(samples) for name, data in s.items()}
        if form == "tar":
            write_tar(folder / "a.tar", files)
            return folder
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return folder
    rows: list[dict[str, Any]] = []
    for k, sample in enumerate(samples):
        image = next((d for n, d in sample.items() if n.endswith("jpg")), None)
        text = sample["txt"].decode() if "txt" in sample else None
        rows.append({"key": f"s{k:02d}", "image": image, "text": text, "rank": k})
    if form == "parquet":
        schema = pa.schema(
            [("key", pa.string()), ("image", pa.binary()), ("text", pa.string()), ("rank", pa.int64())]
        )
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / "a.parquet")
        return folder
    with (folder / "a.jsonl").open("w") as lines:
        for row in rows:
            if row["image"] is not None:
                (folder / f"{row['key']}.jpg").write_bytes(row["image"])
                row["image"] = f"{row['key']}.jpg"
            lines.write(json.dumps({n: v for n, v in row.items() if v is not None}) + "\n")
    return folder


def sizes(*widths: int) -> list[dict[str, bytes]]:
    """One picture a sample, of these widths."""
    return [{"jpg": picture(k, width, 32)} for k, width in enumerate(widths)]
