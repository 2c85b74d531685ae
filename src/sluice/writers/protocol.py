"""What a writer is: it turns a planned list of samples into one output shard, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import pyarrow as pa

from sluice.sample import Sample
from sluice.storage import Location


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One file a shard consists of: its path relative to the output, its bytes and their xxh3-128."""

    path: str
    size: int
    hash: str


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What writing one shard came to: its files, how many samples, and which failed with what reason."""

    files: tuple[ShardFile, ...]
    samples: int
    failed: dict[int, str] = field(default_factory=dict)
    """Position in the shard's list → reason, for samples that could not be read again unchanged."""
    frames_decoded: int = 0
    """Frames of source videos that were decoded to cut clips out of them."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Where a shard stands in an output that is partitioned: the value its samples share, its number among theirs."""

    value: str
    number: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a sample is not among those kept: its fate (`dropped`, `duplicate`) and the name of the rule behind it."""

    fate: str
    rule: str


class Writer(Protocol):
    """One format. Constructed with the output's location and the recipe's `write` settings.

    A class may have more than this. `write_partitioned(partition, samples, fields)` stands in for `write_shard` where
    files lie by partition; such a format cannot be written without `partition_by`. `packs` is the modality whose
    bytes count against `shard_size` (all of a sample's, where it says nothing). `gathers` says that samples of one
    parent are written together, whose bytes count once, and how many samples a shard has before it ends with a parent
    (where `shard_samples` does not say it). `names_by_id` says that files are named by the samples' ids, so that of
    several with one id only the first can be written. Where files are the samples' own, `names_of(sample, dropped)`
    tells which may come of one: they are deleted where a run is killed and another goes on without that sample.
    `valid_only` says that clips which are not `valid` have no place in it: `sluice convert` leaves them out.
    `finish(shards)` is called once all shards are written, with their ledger entries in order (`files`, `samples`,
    `failed`, `partition`, `frames_decoded`); it writes what tells of them together, and returns those files.
    `write_dropped(index, samples, fields, why)` writes a shard of what steps dropped, apart from what is kept, a
    `Dropped` for each sample; such a class has `finish(shards, dropped)`, which is given the entries of those shards
    too (None where they are not wanted).
    """

    format: ClassVar[str]
    version: ClassVar[int]

    def __init__(self, output: Location, **settings: Any) -> None: ...

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write shard number `index`.

        `samples` come in order with their bytes readable, `None` standing for one that could not be read
        again (it is left out and reported by its position). `fields`, where given, has one row a sample in
        the same order (None's included): id, key, measures; it goes to the Parquet file beside the shard
        (and, where asked, into each sample's `key.json`). Item bytes are verified against `Item.hash` where
        it is known; a mismatch makes that sample a failure "changed since it was measured". Files appear
        whole or not at all; equal input gives equal bytes.
        """
        ...
