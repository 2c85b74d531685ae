"""Reads one format and writes another: every sample's bytes, keys and sidecars as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from sluice.errors import UsageError
from sluice.readers import Reader, Slice, open_reader
from sluice.recipe.recipe import Source
from sluice.run.apart import refuse_inside
from sluice.run.convert_bins import convert_bins
from sluice.run.export import ledger_entry
from sluice.run.progress import Progress
from sluice.sample import Sample
from sluice.storage import Location
from sluice.writers import open_writer

MOST_LISTED = 10_000
"""Failures that are listed one by one; all are counted."""


@dataclass(frozen=True)
class Failure:
    """A sample that could not be converted: its key and why, in the words failures are counted by."""

    key: str
    reason: str
    detail: str = ""


@dataclass
class Converted:
    """What a conversion came to. `read` = `written` + `left_out` + `failed`; the first 10,000 failures are listed.

    Left out are clips that are not `valid`, where the format is one of clips.
    """

    read: int = 0
    written: int = 0
    left_out: int = 0
    shards: int = 0
    size_bytes: int = 0
    renamed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Samples that were read and not written."""
        return sum(self.reasons.values())

    def fail(self, key: str, reason: str, detail: str = "") -> None:
        """Count a sample as failed."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if len(self.failures) < MOST_LISTED:
            self.failures.append(Failure(key, reason, detail))


def convert(
    source: str,
    target: str,
    *,
    to: str = "webdataset",
    format: str | None = None,
    columns: dict[str, str] | None = None,
    read_settings: Mapping[str, Any] | None = None,
    shard_size: int = 1_000_000_000,
    shard_samples: int | None = None,
    settings: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Converted:
    """Convert all samples at `source` into shards of the format `to` at `target`.

    `read_settings` are those of the source's reader, `settings` those of the writer. Shards close before they
    exceed `shard_size` (bytes of the samples' items) or `shard_samples`. A key that an earlier sample has gets its
    file's stem as prefix, as in a run. Samples are read and written one by one: in memory are those in the
    reader's hand and the keys. Raises UsageError where `target` is not empty or lies
    inside the source; what is wrong with single samples is counted.
    """
    place, out = Location(source), Location(target)
    _refuse_mixing(place, out)
    reader = open_reader(place, format=format, columns=columns, settings=read_settings)
    writer = open_writer(out, to, **(settings or {}))
    valid_only = reader.format == "clips" and getattr(writer, "valid_only", False)
    out.is_writable()
    if hasattr(writer, "write_partitioned"):
        given = Source(path=source, format=format, columns=columns, settings=dict(read_settings or {}))
        packing = {"shard_size": shard_size, "shard_samples": shard_samples}
        return _by_run(*convert_bins(given, target, to, packing, settings or {}, valid_only, quiet))
    done = Converted()
    parts = list(reader.slices())
    total = _total(parts)
    with Progress(total, label="convert", quiet=quiet) as progress:
        feed = Feed(_readable(reader, parts, done, valid_only), shard_size, shard_samples)
        told = 0
        entries: list[dict[str, Any]] = []
        while feed.more():
            result = writer.write_shard(done.shards, feed.shard(), None)
            entries.append(ledger_entry(result))
            for position, reason in result.failed.items():
                done.fail(feed.keys[position], reason)
            size = sum(f.size for f in result.files)
            done.shards, done.written = done.shards + 1, done.written + result.samples
            done.size_bytes += size
            progress.update(samples=done.read - told, bytes=size, failed=done.failed - progress.failed)
            told = done.read
    if hasattr(writer, "finish"):
        done.size_bytes += sum(file.size for file in writer.finish(entries))
    return done


def _by_run(summary: Mapping[str, Any], failed: Sequence[tuple[str, str]]) -> Converted:
    listed = [Failure(key, reason) for key, reason in failed[:MOST_LISTED]]
    return Converted(
        summary["read"],
        summary["kept"],
        summary["dropped"],
        summary["shards"],
        summary["size_bytes"],
        reasons=dict(summary["failures"]),
        failures=listed,
    )


def _refuse_mixing(place: Location, out: Location) -> None:
    if next(iter(out.list()), None) is not None:
        raise UsageError("there is something here already", where=out.url, fix="name an empty or new folder")
    refuse_inside(place, out)


def _total(parts: Sequence[Slice]) -> int | None:
    """How many samples there are, where listing tells; it also shows early that the source is empty."""
    counts = [part.samples for part in parts]
    if not counts:
        raise UsageError("the source is empty", fix="check the path or the pattern")
    return None if None in counts else sum(c or 0 for c in counts)


def _readable(reader: Reader, parts: Sequence[Slice], done: Converted, valid_only: bool) -> Iterator[Sample]:
    """All samples under keys of their own; what cannot be read at all, or is left out, is counted here."""
    taken: set[str] = set()
    for part in parts:
        stem = PurePosixPath(part.files[0].path).name.partition(".")[0]
        for sample in reader.read(part):
            done.read += 1
            note = next((n for n in sample.notes if n.kind == "read" or _lost(sample, n.item)), None)
            if note is not None:
                done.fail(sample.key, note.reason, note.detail)
                continue
            if valid_only and sample.fields.get("valid") is False:
                done.left_out += 1
                continue
            key = unique_key(sample.key, stem, taken)
            done.renamed += key != sample.key
            yield sample if key == sample.key else replace(sample, key=key)


def _lost(sample: Sample, item: int) -> bool:
    """Whether an item has nothing that could be written."""
    return item >= 0 and sample.items[item].media is None and sample.items[item].text is None


def unique_key(key: str, stem: str, taken: set[str]) -> str:
    """The key, or where it is taken the same with its file's stem, then also a number, before its name."""
    folder, slash, name = key.rpartition("/")
    candidate, n = key, 0
    while candidate in taken:
        prefix = stem if n == 0 else f"{stem}-{n}"
        candidate = f"{folder}{slash}{prefix}-{name}"
        n += 1
    taken.add(candidate)
    return candidate


class Feed:
    """Deals a stream of samples out to shards, without holding more than the next one."""

    def __init__(self, samples: Iterator[Sample], shard_size: int, shard_samples: int | None) -> None:
        self._samples, self._size, self._count = samples, shard_size, shard_samples
        self._next: Sample | None = None
        self.keys: list[str] = []

    def more(self) -> bool:
        """Whether there is another sample."""
        if self._next is None:
            self._next = next(self._samples, None)
        return self._next is not None

    def shard(self) -> Iterator[Sample]:
        """The samples of the next shard; `keys` are theirs."""
        self.keys = []
        size = 0
        while self.more():
            sample = self._next
            assert sample is not None
            size += sample.size_bytes
            full = size > self._size or (self._count is not None and len(self.keys) >= self._count)
            if self.keys and full:
                return
            self._next = None
            self.keys.append(sample.key)
            yield sample
