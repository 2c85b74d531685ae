"""Writes a pool as video files and a CSV table that names them, as fine-tuning scripts of video models read it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from sluice.errors import SampleError, StorageError
from sluice.ops.text.content import text_of
from sluice.sample import Note, Sample
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
    samples = (sample and _noted(sample, captions) for sample in members.once())
    result = writer.write_shard(0, samples, None)
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


def _noted(sample: Sample, captions: dict[str, str]) -> Sample:
    """The sample, its caption noted; one whose caption cannot be read is a failed sample."""
    try:
        captions[sample.id] = _caption(sample)
    except (SampleError, StorageError) as error:
        note = Note("read", getattr(error, "reason", "file not readable"), str(error))
        return replace(sample, notes=(*sample.notes, note))
    return sample


def _caption(sample: Sample) -> str:
    for _, item in sample.of("text"):
        if text := text_of(item).strip():
            return text
    return next((str(sample.fields[n]) for n in ("caption", "text") if sample.fields.get(n)), "")
