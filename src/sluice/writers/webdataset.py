"""Writes WebDataset tars with a Parquet table of the same rows beside each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pyarrow as pa

from sluice.sample import Sample
from sluice.sample.fields import json_value
from sluice.sample.members import join_member, safe_member
from sluice.storage import Location
from sluice.writers.bodies import Intake, typed_name, with_fields
from sluice.writers.columns import beside, check_embeddings, json_rows, measures
from sluice.writers.files import hashed, put_table
from sluice.writers.protocol import ShardResult
from sluice.writers.tar import TarStream


class WebDatasetWriter:
    """`00000.tar` with every item as `key.name` in order, and `00000.parquet` with one row a sample.

    The table's columns: id, key, `tar` (the shard's file), `members` (names within the tar), `offsets` and
    `sizes` (bytes of their bodies), `hashes` (xxh3-128 of the bodies), then measures and source fields.
    """

    format: ClassVar[str] = "webdataset"
    version: ClassVar[int] = 1

    def __init__(
        self,
        output: Location,
        *,
        fields_in_json: bool = False,
        parquet: bool = True,
        embeddings: str = "none",
    ) -> None:
        self.output = output
        self.fields_in_json, self.parquet = fields_in_json, parquet
        self.embeddings = check_embeddings(embeddings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write shard `index`; each file appears whole or not at all, the table after its tar."""
        intake, places = Intake(), _Places()
        rows = json_rows(measures(fields, "none")) if self.fields_in_json else None
        name = f"{index:05d}.tar"
        with hashed(self.output / name) as file, TarStream(file) as tar:
            for position, sample, found in intake(samples):
                ours = {n: json_value(v) for n, v in sample.fields.items()}
                ours |= rows[position] if rows else {}
                # A sample of fields alone needs a member to stand in a tar at all.
                told = with_fields(found, ours) if self.fields_in_json or not found else found
                places.begin()
                for body in told:
                    member = safe_member(join_member(sample.key, typed_name(body)))
                    places.add(member, tar.add(member, body.data), len(body.data), body.hash)
            tar.end()
        files = [file.done(name)]
        if self.parquet:
            extra = {"tar": pa.array([name] * len(intake.kept), pa.string()), **places.columns()}
            table = beside(intake, measures(fields, self.embeddings), extra)
            files.append(put_table(self.output, f"{index:05d}.parquet", table))
        return ShardResult(tuple(files), len(intake.kept), intake.failed)


class _Places:
    """Where each sample's members lie in the tar."""

    def __init__(self) -> None:
        self.members: list[list[str]] = []
        self.offsets: list[list[int]] = []
        self.sizes: list[list[int]] = []
        self.hashes: list[list[str]] = []

    def begin(self) -> None:
        """The next sample."""
        for column in (self.members, self.offsets, self.sizes, self.hashes):
            column.append([])

    def add(self, member: str, offset: int, size: int, digest: str) -> None:
        """A member of the sample under way."""
        self.members[-1].append(member)
        self.offsets[-1].append(offset)
        self.sizes[-1].append(size)
        self.hashes[-1].append(digest)

    def columns(self) -> dict[str, pa.Array]:
        """The columns `members`, `offsets`, `sizes`, `hashes`."""
        return {
            "members": pa.array(self.members, pa.list_(pa.string())),
            "offsets": pa.array(self.offsets, pa.list_(pa.int64())),
            "sizes": pa.array(self.sizes, pa.list_(pa.int64())),
            "hashes": pa.array(self.hashes, pa.list_(pa.string())),
        }
