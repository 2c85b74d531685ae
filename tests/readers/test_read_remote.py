"""The same samples and shards from an object store as from this machine."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tars import contents, failures, read_all, tar_bytes

import sluice.readers.webdataset as webdataset
from sluice.readers import detect_format, open_reader
from sluice.storage import Location
from sluice.writers import open_writer

pytest_plugins = ["servers"]

MEMBERS = [(f"{k:04d}.{e}", f"{e}{k}".encode() * 300) for k in range(600) for e in ("jpg", "txt")]


def test_remote_tars_are_fetched_once_and_addressable(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = tar_bytes([*MEMBERS, ("0003.late", b"")])
    Location(f"{s3}/raw/000.tar").write(shard)
    Location(f"{s3}/raw/001.tar.gz").write(gzip.compress(tar_bytes(MEMBERS[:6])))
    assert detect_format(f"{s3}/raw/*") == "webdataset"
    assert len(read_all(f"{s3}/raw/{{000..000}}.tar")) == 600
    samples = read_all(f"{s3}/raw")
    assert failures(samples) == {"0003": "members not adjacent"}
    assert len(samples) == 603
    media = samples[5].items[0].media
    assert media is not None
    assert media.data == Location(media.uri).read_range(media.offset or 0, media.size or 0) == b"jpg5" * 300
    monkeypatch.setattr(webdataset, "REMOTE_BYTES", 1 << 16)
    parts = list(open_reader(f"{s3}/raw/000.tar").slices())
    assert len(parts) == 2
    assert read_all(f"{s3}/raw/000.tar") == samples[:600]


@pytest.mark.parametrize("format_", ["webdataset", "folder", "parquet", "jsonl"])
def test_written_remotely_and_read_again(s3: str, tmp_path: Path, format_: str) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes(MEMBERS[:20]))
    found = read_all(tmp_path / "a.tar")
    local = open_writer(tmp_path / "out", format_).write_shard(0, found, None)
    remote = open_writer(f"{s3}/out", format_).write_shard(0, found, None)
    assert remote == local
    assert [contents(s) for s in read_all(f"{s3}/out")] == [contents(s) for s in found]
