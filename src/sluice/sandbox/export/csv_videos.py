"""Writes a pool as video files and a CSV table that names them, as fine-tuning scripts of video models read it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from sluice.sample import Sample
from sluice.sandbox.export.members import Members
from sluice.storage import Location
from sluice.writers.clip_tables import rows_path
from sluice.writers.clips import ClipsWriter

COLUMNS = ("file_path", "text", "type", "id")
"""Columns of `data.csv`: the video below the folder, its caption, `video`, and the sample's id."""


def csv_videos(members: Members, folder: Path) -> Path:
    """Write `clips/` and `data.csv`, and return the latter.

    Spans of videos are cut out, whole files keep their bytes. A video that the pool names more than once is there
    once, and its row as often. The caption is the sample's first text, else its field `caption` or `text`.
    """
    captions: dict[str, str] = {}
    writer = ClipsWriter(Location(folder), mode="smart")
    result = writer.write_shard(0, _noting(members.once(), captions), None)
    for position, reason in result.failed.items():
        members.failed[reason] += int(members.times[position])
    written = pq.read_table(folder / rows_path(0), columns=["id", "clip"]).to_pylist()
    times = dict(zip((i for i in members.ids), members.times.tolist(), strict=True))
    most = max((times[row["id"]] for row in written), default=0)
    rows = [
        (row["clip"], captions.get(row["id"], ""), "video", row["id"])
        for number in range(most)
        for row in written
        if times[row["id"]] > number
    ]
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([COLUMNS, *rows])
    Location(folder / "data.csv").write(table.getvalue().encode("utf-8", "backslashreplace"))
    return folder / "data.csv"


def _noting(samples: Iterable[Sample | None], captions: dict[str, str]) -> Iterator[Sample | None]:
    """The samples, their captions noted as they pass."""
    for sample in samples:
        if sample is not None:
            captions[sample.id] = _caption(sample)
        yield sample


def _caption(sample: Sample) -> str:
    for _, item in sample.of("text"):
        text = (
            item.text
            if item.text is not None or item.media is None
            else item.media.read().decode("utf-8", "replace")
        )
        if text:
            return text.strip()
    return next((str(sample.fields[n]) for n in ("caption", "text") if sample.fields.get(n)), "")
