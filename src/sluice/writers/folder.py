"""Writes a folder of files under their original paths, with a metadata table that others can read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

import pyarrow as pa

from sluice.sample import MEDIA_MODALITIES, Sample
from sluice.sample.members import safe_member
from sluice.storage import Location
from sluice.writers.bodies import Body, Intake, body_name
from sluice.writers.columns import beside, check_embeddings, measures
from sluice.writers.files import put, put_table
from sluice.writers.protocol import ShardFile, ShardResult

_TABLES = re.compile(r"metadata\.(csv|jsonl|parquet)|metadata-\d+\.parquet")


class FolderWriter:
    """Every item as the file `key.name`; `metadata-00000.parquet` has one row a sample.

    The table's column `file_name` is the path of the first medium (the Hugging Face convention), `members`
    the names of all items in order. Each file appears whole; the table comes last.
    """

    format: ClassVar[str] = "folder"
    version: ClassVar[int] = 1

    def __init__(self, output: Location, *, parquet: bool = True, embeddings: str = "none") -> None:
        self.output, self.parquet = output, parquet
        self.embeddings = check_embeddings(embeddings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write the files of shard `index`."""
        intake = Intake()
        files: list[ShardFile] = []
        names: list[str] = []
        for _, sample, found in intake(samples):
            paths = [file_path(sample.key, body.name) for body in found]
            files += [put(self.output, p, b.data) for p, b in zip(paths, found, strict=True)]
            names.append(_file_name(paths, found))
        if self.parquet:
            extra = {
                "file_name": pa.array(names, pa.string()),
                "members": pa.array([[n for n, _ in row] for row in intake.bodies], pa.list_(pa.string())),
            }
            table = beside(intake, measures(fields, self.embeddings), extra)
            files.append(put_table(self.output, f"metadata-{index:05d}.parquet", table))
        return ShardResult(tuple(files), len(intake.kept), intake.failed)

    def names_of(self, sample: Sample, dropped: bool) -> Iterator[str]:
        """The files of a sample's items."""
        for item in sample.items:
            yield file_path(sample.key, body_name(item))


def file_path(key: str, name: str) -> str:
    """The path of an item below the output: `key.name`, kept clear of hidden and reserved names."""
    member = safe_member(f"{key}.{name}" if name else key).removeprefix("./")
    segments = member.split("/")
    segments = ["%2E" + s[1:] if s.startswith(".") else s for s in segments]
    if segments[0] == "_sluice":
        segments[0] = "%5Fsluice"
    if _TABLES.fullmatch(segments[-1]):
        segments[-1] = "%6D" + segments[-1][1:]
    return "/".join(segments)


def _file_name(paths: list[str], found: list[Body]) -> str:
    media = (p for p, b in zip(paths, found, strict=True) if b.item.modality in MEDIA_MODALITIES)
    return next(media, paths[0] if paths else "")
