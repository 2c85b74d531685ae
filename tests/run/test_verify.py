"""Verification finds every kind of damage we could think of, and names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from small_pictures import small_run

from sluice.errors import VerifyError
from sluice.run.verify import verify
from sluice.storage import Location
from sluice.store import RunDir

pytest_plugins = ["servers"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("verified"), shard_samples=4)


@pytest.fixture
def output(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run to damage."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def verified(output: Path) -> dict[str, int]:
    return verify(RunDir.of(Location(output)), quiet=True)


def test_a_good_run_holds(output: Path) -> None:
    counts = verified(output)
    files = [p for p in output.iterdir() if p.name[0] == "0"]
    assert counts == {
        "read": 10,
        "kept": 6,
        "dropped": 2,
        "duplicate": 1,
        "failed": 1,
        "shards": 2,
        "files": 4,
        "size_bytes": sum(p.stat().st_size for p in files),
    }


@pytest.mark.parametrize("format", ["webdataset", "folder", "parquet", "jsonl"])
def test_every_format_holds_and_notices_a_flipped_byte(tmp_path: Path, format: str) -> None:
    output = small_run(tmp_path, format=format, shard_samples=4)
    assert verified(output)["shards"] == 2
    entry = json.loads((output / "_sluice/shards/00001.json").read_text())
    victim = output / entry["files"][0]["path"]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    with pytest.raises(VerifyError, match="another xxh3-128") as caught:
        verified(output)
    assert caught.value.where == str(victim)


def test_a_tar_without_a_table_holds(tmp_path: Path) -> None:
    output = small_run(tmp_path, parquet="false")
    assert verified(output)["files"] == 1


def test_a_run_that_writes_nothing_holds(tmp_path: Path) -> None:
    from small_pictures import make_source, recipe

    from sluice.run import run

    source = make_source(tmp_path / "in")
    only_measured = recipe(source).replace(write=None)
    run(only_measured, output=str(tmp_path / "out"), workers=0, quiet=True)
    assert verified(tmp_path / "out")["shards"] == 0


def _ledger(output: Path, shard: int, change: Callable[[dict[str, Any]], None]) -> None:
    path = output / f"_sluice/shards/{shard:05d}.json"
    entry = json.loads(path.read_text())
    change(entry)
    path.write_text(json.dumps(entry))


def _rewritten(output: Path, name: str, data: bytes) -> None:
    """Put other bytes in place of a shard's file, with the ledger made to agree."""
    (output / name).write_bytes(data)

    def agree(entry: dict[str, Any]) -> None:
        (file,) = [f for f in entry["files"] if f["path"] == name]
        file.update(size=len(data), hash=xxhash.xxh3_128_hexdigest(data))

    _ledger(output, int(name[:5]), agree)


def _column(path: Path, name: str, change: Callable[[list[Any]], None]) -> bytes:
    """The Parquet file's bytes with one column changed."""
    table = pq.read_table(path)
    values = table.column(name).to_pylist()
    change(values)
    at = table.schema.get_field_index(name)
    field = table.schema.field(at)
    sink = pa.BufferOutputStream()
    pq.write_table(table.set_column(at, field, pa.array(values, field.type)), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _set(at: int, value: Any) -> Callable[[list[Any]], None]:
    return lambda values: values.__setitem__(at, value)


def _truncate(output: Path) -> None:
    data = (output / "00000.tar").read_bytes()
    (output / "00000.tar").write_bytes(data[:-512])


def _cut_in_agreement(output: Path) -> None:
    data = (output / "00000.tar").read_bytes()
    _rewritten(output, "00000.tar", data[: len(data) // 2])


def _swap_tars(output: Path) -> None:
    _rewritten(output, "00000.tar", (output / "00001.tar").read_bytes())


def _wrong_offset(output: Path) -> None:
    data = _column(output / "00000.parquet", "offsets", lambda v: v[2].__setitem__(0, v[2][0] + 512))
    _rewritten(output, "00000.parquet", data)


def _wrong_size(output: Path) -> None:
    data = _column(output / "00001.parquet", "sizes", lambda v: v[0].__setitem__(0, 2))
    _rewritten(output, "00001.parquet", data)


def _swapped_rows(output: Path) -> None:
    table = pq.read_table(output / "00000.parquet").take([1, 0, 2, 3])
    pq.write_table(table, output / "swapped")
    _rewritten(output, "00000.parquet", (output / "swapped").read_bytes())


def _missing_row(output: Path) -> None:
    pq.write_table(pq.read_table(output / "00000.parquet").slice(0, 3), output / "short")
    _rewritten(output, "00000.parquet", (output / "short").read_bytes())


def _summary(output: Path, **change: int) -> None:
    path = output / "_sluice/summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def _selection(output: Path, name: str, at: int, value: Any) -> None:
    path = output / "selection.parquet"
    path.write_bytes(_column(path, name, _set(at, value)))


def _packing(output: Path, name: str, at: int, value: Any) -> None:
    path = output / "_sluice/packing.parquet"
    path.write_bytes(_column(path, name, _set(at, value)))


def _lost_sample(output: Path) -> None:
    path = output / "selection.parquet"
    pq.write_table(pq.read_table(path).slice(0, 9), path)


def _dataset(output: Path, **change: Any) -> None:
    path = output / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "file gone": (lambda o: (o / "00001.tar").unlink(), "is missing"),
    "file cut": (_truncate, "bytes, but"),
    "tar cut, ledger agrees": (_cut_in_agreement, "truncated tar|has the key"),
    "another tar": (_swap_tars, "but the plan says"),
    "offset": (_wrong_offset, "offsets"),
    "size": (_wrong_size, "sizes"),
    "rows swapped": (_swapped_rows, "has the key"),
    "row missing": (_missing_row, "row 3 has the key None"),
    "stray shard": (lambda o: (o / "00007.tar").write_bytes(b""), "no part of this run"),
    "ledger entry gone": (lambda o: (o / "_sluice/shards/00000.json").unlink(), "has no 00000.json"),
    "last ledger entry gone": (lambda o: (o / "_sluice/shards/00001.json").unlink(), "were written"),
    "ledger damaged": (lambda o: (o / "_sluice/shards/00000.json").write_text("{"), "is damaged"),
    "ledger counts": (lambda o: _ledger(o, 0, lambda e: e.update(samples=5)), "7 were written"),
    "counts do not add up": (lambda o: _summary(o, kept=7), "do not add up"),
    "counts shifted": (lambda o: _summary(o, kept=7, dropped=1), "the summary says"),
    "another fate": (lambda o: _selection(o, "fate", 1, "lost"), "unknown fate"),
    "no reason": (lambda o: _selection(o, "reason", 0, None), "without a reason"),
    "no rule": (lambda o: _selection(o, "rule", 8, None), "no rule is named"),
    "no twin": (lambda o: _selection(o, "duplicate_of", 9, 9), "duplicate of no sample"),
    "sample twice": (lambda o: _selection(o, "ordinal", 3, 2), "stands in it twice"),
    "sample lost": (_lost_sample, "lists 9 samples"),
    "shard of a sample": (lambda o: _selection(o, "shard", 1, 1), "disagrees with the plan"),
    "key twice": (lambda o: _packing(o, "key", 5, "good-0"), "'good-0' stands twice"),
    "another key": (lambda o: _packing(o, "key", 5, "other"), "but the plan says 'other'"),
    "plan gone": (lambda o: (o / "_sluice/packing.parquet").unlink(), "is missing"),
    "selection gone": (lambda o: (o / "selection.parquet").unlink(), "is missing"),
    "selection damaged": (lambda o: (o / "selection.parquet").write_bytes(b"PAR1"), "cannot be read"),
    "dataset counts": (lambda o: _dataset(o, samples=5), "5 samples, but 6"),
    "dataset of another lock": (lambda o: _dataset(o, lock="0"), "another recipe"),
    "dataset gone": (lambda o: (o / "dataset.json").unlink(), "is missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_named(output: Path, damage: str) -> None:
    harm, message = DAMAGE[damage]
    harm(output)
    with pytest.raises(VerifyError, match=message) as caught:
        verified(output)
    assert caught.value.where.startswith(str(output))


def test_a_run_in_an_object_store_holds_and_notices_damage(tmp_path: Path, s3: str) -> None:
    from small_pictures import make_source, recipe

    from sluice.run import run
    from sluice.run.convert import convert
    from sluice.run.show import show

    convert(str(make_source(tmp_path / "in")), f"{s3}/tars", shard_samples=4, quiet=True)
    output = f"{s3}/out"
    run(recipe(tmp_path / "in", shard_samples=4), output=output, workers=0, quiet=True)
    place = RunDir.find(output)
    assert verify(place, quiet=True)["kept"] == 6
    assert show(output, samples=1)["samples"][0]["key"] == "good-0"
    # Remote shards tell their number of samples only when they are read.
    assert len(show(f"{s3}/tars", samples=20)["samples"]) == 10
    assert show(f"{s3}/tars#twin")["samples"][0]["key"] == "twin"
    back = convert(f"{s3}/tars", str(tmp_path / "back"), to="folder", quiet=True)
    assert (back.read, back.failed) == (10, 0)
    assert (tmp_path / "back/good-0.jpg").read_bytes() == (tmp_path / "in/good-0.jpg").read_bytes()
    data = bytearray((place.output / "00001.tar").read())
    data[700] ^= 1
    (place.output / "00001.tar").write(bytes(data))
    with pytest.raises(VerifyError, match="another xxh3-128"):
        verify(place, quiet=True)
