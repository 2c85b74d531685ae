"""`sluice show`: what is this dataset, shard, run or sample?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sluice.cli.output import cell_text, counted, near, print_json, say, size_text, table
from sluice.cli.verb import verb


@verb(
    "show",
    "sluice show demo/curated",
    "sluice show demo/curated/00000.tar",
    "sluice show demo/source#originals/coffee",
)
@click.argument("path")
@click.option("--samples", type=click.IntRange(min=0), default=3, show_default=True, help="How many to show.")
def command(path: str, samples: int, as_json: bool) -> None:
    """Tell what a dataset, shard, run or sample is.

    Its format, counts, fields and first samples.

    PATH is a folder, tar, Parquet, JSONL or CSV file, a pattern, a URL, or a run; PATH#KEY is one sample.
    """
    from sluice.run.show import show

    found = show(path, samples=samples)
    if as_json:
        print_json(found)
    else:
        _HEADS[found["kind"]](found)
        for sample in found["samples"]:
            say()
            _sample(sample)


def _run(found: Mapping[str, Any]) -> None:
    from sluice.cli.account import equation

    say(f"run of the recipe {found['recipe']!r} on {near(found['source'])}", bold=True)
    say(equation(found))
    shards = f"{counted(found['shards'], 'shard')} of {found['format']}"
    say(f"{shards}, {size_text(found['size_bytes'])} in {near(found['path'])}")
    say()
    rows = [(f["name"], f["type"], f["unit"], f["meaning"]) for f in found["fields"]]
    table(["field", "type", "unit", "meaning"], rows)


def _dataset(found: Mapping[str, Any]) -> None:
    total = found["samples_total"]
    count = counted(total, "sample") if total is not None else "samples are counted when they are read"
    say(
        f"{found['format']}: {count} in {counted(found['files'], 'file')}, {size_text(found['size_bytes'])}",
        bold=True,
    )
    say(near(found["path"]))
    if found["items"]:
        say()
        rows = [(i["modality"], i["name"], i["content_type"], i["in_samples"]) for i in found["items"]]
        table(["item", "name", "type", f"in the first {found['looked_at']:,}"], rows, right=[3])
    if found["fields"]:
        say()
        table(["field", "type"], [(f["name"], f["type"]) for f in found["fields"]])
    if found["unreadable"]:
        say(f"{found['unreadable']:,} of the first {found['looked_at']:,} samples cannot be read")


def _nothing(found: Mapping[str, Any]) -> None:
    """One sample needs no heading."""


_HEADS = {"run": _run, "dataset": _dataset, "sample": _nothing}


def _sample(sample: Mapping[str, Any]) -> None:
    say(sample["key"], bold=True)
    for item in sample["items"]:
        size = size_text(item["size_bytes"]) if item.get("size_bytes") is not None else ""
        shape = f"{item['width_px']}×{item['height_px']} px" if "width_px" in item else ""
        trouble = f"unreadable: {item['unreadable']}" if "unreadable" in item else ""
        parts = [item["modality"], item["name"], size, shape, item.get("text", ""), trouble]
        say("  " + "  ".join(part for part in parts if part))
    for name, value in sample["fields"].items():
        say(f"  {name}: {cell_text(value)}")
    for note in sample["notes"]:
        say(f"  ! {note}")
