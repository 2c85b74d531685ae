"""The contract of local files, proven on S3 (a server on loopback): names, ranges, whole writes, kills."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.errors import MissingError, NotFoundError, StorageError, UnavailableError
from sluice.storage import Location
from sluice.storage.connect import Patience
from sluice.storage.remote import Bucket
from sluice.storage.transfer import PART_BYTES, RangeReader

pytest_plugins = ["servers"]

NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="/"), min_size=1, max_size=30
).filter(lambda name: name not in (".", ".."))

WITH_SERVER = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

UNTIMED = settings(deadline=None)  # machines that run tests are busy

KILLED_WRITER = """
import sys
from sluice.storage import Location
from sluice.storage.transfer import PART_BYTES
with Location(sys.argv[1]).writer() as file:
    for _ in range(4):  # the third part is taken only when the first is up
        file.write(bytes(PART_BYTES))
    print("parts", flush=True)
    sys.stdin.read()
"""


def _unfinished_uploads(endpoint: str, url: str) -> int:
    with urllib.request.urlopen(f"{endpoint}/{Location(url).name}?uploads") as reply:
        return sum(element.tag.endswith("UploadId") for element in ElementTree.parse(reply).iter())


def _put_raw(endpoint: str, url: str, key: str, data: bytes) -> None:
    request = urllib.request.Request(f"{endpoint}/{Location(url).name}/{key}", data=data, method="PUT")
    urllib.request.urlopen(request).close()


@WITH_SERVER
@given(names=st.lists(NAMES, min_size=1, max_size=2), data=st.binary(max_size=50))
def test_any_name_round_trips(s3: str, names: list[str], data: bytes) -> None:
    root = Location(s3)
    location = root / "/".join(names)
    location.write(data)
    try:
        assert location.read() == data
        entry = location.stat()
        assert entry is not None
        assert (entry.path, entry.size) == (names[-1], len(data))
        assert [found.path for found in root.list()] == ["/".join(names)]
        assert [found.path for found in location.parent.list(recursive=False)] == [names[-1]]
    finally:
        location.delete()
    assert not location.exists()


@WITH_SERVER
@given(ranges=st.lists(st.tuples(st.integers(0, 3_000_010), st.integers(0, 50)), max_size=6))
def test_ranges_are_exact_or_refused(s3: str, ranges: list[tuple[int, int]]) -> None:
    data = bytes(range(250)) * 12_000
    location = Location(s3) / "f"
    if not location.exists():
        location.write(data)
    good = [(offset, size) for offset, size in ranges if offset + size <= len(data)]
    assert location.read_ranges(good) == [data[offset : offset + size] for offset, size in good]
    for offset, size in ranges:
        if offset + size > len(data) and size:
            with pytest.raises(StorageError, match=f"offset {offset}"):
                location.read_range(offset, size)
            with pytest.raises(StorageError, match="truncated"):
                location.read_ranges([(offset - 60, 50), (offset, size)])
    assert location.read_range(17, 500) == data[17:517]


def test_stream_and_seekable_reader(s3: str) -> None:
    data = bytes(range(251)) * 4000
    location = Location(s3) / "dir" / "f"
    location.write(data)
    assert b"".join(location.stream(100_000)) == data
    assert b"".join(location.stream(start=1_000_000)) == data[1_000_000:]
    assert list(location.stream(start=len(data))) == []
    with pytest.raises(StorageError):
        list(location.stream(start=len(data) + 1))
    with location.open() as file:
        assert file.read(10) == data[:10]
        assert file.seek(-7, io.SEEK_END) == len(data) - 7
        assert file.read() == data[-7:]
        assert file.seek(500_000) == 500_000
        assert file.read(300_000) == data[500_000:800_000]
        assert file.seek(2_000_000) == 2_000_000
        assert file.read(1) == b""


def test_reader_refuses_to_mix_versions(s3: str) -> None:
    location = Location(s3) / "f"
    location.write(bytes(2_000_000))
    with location.open() as file:
        file.read(10)
        location.write(bytes(2_000_000 - 1) + b"1")
        with pytest.raises(StorageError, match="changed while"):
            file.read()


@UNTIMED
@given(
    data=st.binary(max_size=400),
    steps=st.lists(st.tuples(st.integers(0, 420), st.integers(0, 100)), max_size=10),
    buffer=st.integers(1, 64),
)
def test_reader_is_like_a_file(data: bytes, steps: list[tuple[int, int]], buffer: int) -> None:
    ours = io.BufferedReader(RangeReader(lambda at, size: data[at : at + size], len(data)), buffer)
    real = io.BytesIO(data)
    for position, size in steps:
        assert ours.seek(position) == real.seek(position)
        assert ours.read(size) == real.read(size)
        assert ours.tell() == real.tell() or position > len(data)
    assert ours.seek(0) == 0
    assert ours.read() == data


def test_read_ahead_saves_requests() -> None:
    data, requests = bytes(40_000_000), []

    def fetch(at: int, size: int) -> bytes:
        requests.append(size)
        return data[at : at + size]

    with io.BufferedReader(RangeReader(fetch, len(data)), 1 << 16) as file:
        while file.read(50_000):
            pass
    assert len(requests) < 12
    assert sum(requests) == len(data)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 5])
def test_writer_of_any_size(s3: str, moto_endpoint: str, size: int) -> None:
    data = (b"0123456789" * (size // 10 + 1))[:size]
    location = Location(s3) / "f"
    with location.writer() as file:
        for start in range(0, size, 3_000_001):
            file.write(memoryview(data)[start : start + 3_000_001])
        assert file.tell() == size
        assert not location.exists()
    assert location.read() == data
    assert _unfinished_uploads(moto_endpoint, s3) == 0


@pytest.mark.parametrize("size", [10, 3 * PART_BYTES])
def test_a_failed_block_leaves_the_old_object_and_no_parts(s3: str, moto_endpoint: str, size: int) -> None:
    location = Location(s3) / "f"
    location.write(b"old")
    with pytest.raises(KeyError):
        _write_then_raise(location, size)
    assert location.read() == b"old"
    assert _unfinished_uploads(moto_endpoint, s3) == 0


def _write_then_raise(location: Location, size: int) -> None:
    with location.writer() as file:
        file.write(bytes(size))
        raise KeyError


@pytest.mark.parametrize("size", [10, 5 * PART_BYTES])
def test_a_writer_into_nowhere_fails_and_does_not_hang(s3: str, size: int) -> None:
    with pytest.raises(StorageError, match="bucket"):
        _write_all(Location("s3://no-such-bucket-here/f"), size)


def _write_all(location: Location, size: int) -> None:
    with location.writer() as file:
        for _ in range(5):
            file.write(bytes(size // 5))


def test_sigkill_in_the_middle_leaves_nothing_under_the_name(s3: str, moto_endpoint: str) -> None:
    target = Location(s3) / "shard.tar"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, target.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"parts\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert _unfinished_uploads(moto_endpoint, s3) == 1
    assert not target.exists()
    assert list(Location(s3).list()) == []
    target.write(b"again")
    assert target.read() == b"again"


def test_listing_is_paged_sorted_and_without_folder_markers(s3: str, moto_endpoint: str) -> None:
    root = Location(s3)
    names = ["a-b", "a.b", "a/b", "a/b.c", "a/c d(1)", "ab", "empty", "ü"]
    for name in names:
        (root / name).write(b"" if name == "empty" else name.encode())
    _put_raw(moto_endpoint, s3, "marker/", b"")
    (root / ".x.0123456789abcdef.tmp").write(b"leftover")
    assert [entry.path for entry in root.list()] == names
    assert [entry.path for entry in root.list(recursive=False)] == ["a-b", "a.b", "ab", "empty", "ü"]
    assert [(entry.path, entry.size) for entry in (root / "a").list()] == [
        ("b", 3), ("b.c", 5), ("c d(1)", 8),
    ]  # fmt: skip
    assert list((root / "a/b").list()) == []
    assert list((root / "absent").list()) == []
    assert all(entry.etag and entry.mtime_ns for entry in root.list())


def test_listing_over_several_pages(s3: str, moto_endpoint: str) -> None:
    for index in range(203):
        _put_raw(moto_endpoint, s3, f"many/{index:04}", b"x")
    assert [entry.path for entry in (Location(s3) / "many").list()] == [f"{index:04}" for index in range(203)]
    (Location(s3) / "many").delete_tree()
    assert not (Location(s3) / "many").exists()


def test_a_key_that_cannot_be_addressed_is_said(s3: str, moto_endpoint: str) -> None:
    _put_raw(moto_endpoint, s3, "a//b", b"1")
    with pytest.raises(StorageError, match="a//b"):
        list(Location(s3).list())


def test_exists_is_dir_and_delete_tree(s3: str, moto_endpoint: str) -> None:
    root = Location(s3)
    assert root.exists()
    tree = root / "run" / "1"
    assert not tree.exists()
    tree.make_dirs()
    for name in ("run/1/a", "run/1/b/c", "run/10", "run/1.txt"):
        (root / name).write(b"1")
    _put_raw(moto_endpoint, s3, "run/1/", b"")
    assert tree.exists()
    assert tree.is_dir()
    assert tree.stat() is None
    assert (root / "run/10").exists()
    assert not (root / "run/10").is_dir()
    tree.delete_tree()
    tree.delete_tree()
    assert [entry.path for entry in root.list()] == ["run/1.txt", "run/10"]
    assert not tree.exists()
    with pytest.raises(StorageError, match="whole bucket"):
        root.delete_tree()
    with pytest.raises(StorageError, match="not a file"):
        root.write(b"1")
    assert not Location("s3://no-such-bucket-here").exists()
    with pytest.raises(NotFoundError, match="bucket"):
        list(Location("s3://no-such-bucket-here").list())


def test_absent_objects(s3: str, tmp_path: Path) -> None:
    absent = Location(s3) / "absent"
    absent.delete()
    assert absent.stat() is None
    for act in (absent.read, absent.open, lambda: absent.read_range(0, 1), lambda: list(absent.stream())):
        with pytest.raises(NotFoundError):
            act()
    with pytest.raises(NotFoundError):
        absent.download(tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_upload_download_and_is_writable(s3: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 80_000)
    location = Location(s3) / "x" / "f"
    location.upload(source)
    location.download(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    with pytest.raises(NotFoundError):
        location.upload(tmp_path / "absent")
    location.parent.is_writable()
    assert [entry.path for entry in Location(s3).list()] == ["x/f"]
    with pytest.raises(StorageError, match="create the bucket"):
        Location("s3://no-such-bucket-here").is_writable()


def test_absent_credentials_name_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    for url, variable in (
        ("s3://b/x", "AWS_ACCESS_KEY_ID"),
        ("gs://b/x", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://b/x", "AZURE_STORAGE_ACCOUNT_KEY"),
    ):
        with pytest.raises(MissingError, match=variable) as caught:
            Location(url).read()
        assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("url", "given", "words"),
    [
        ("s3://b/x", {"AWS_ACCESS_KEY_ID": "half"}, "Missing SecretAccessKey"),
        ("az://b/x", {"AZURE_STORAGE_ACCOUNT_KEY": "Zm9v"}, "Account must be"),
        ("gs://b/x", {"GOOGLE_APPLICATION_CREDENTIALS": "/absent.json"}, "No such file"),
    ],
)
def test_half_given_credentials(
    monkeypatch: pytest.MonkeyPatch, url: str, given: dict[str, str], words: str
) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MissingError, match=words):
        Location(url).read()


def test_an_endpoint_that_is_gone_gives_up(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    bucket = Bucket("s3", "bucket", Patience(connect_s=1, retries=1, backoff_s=0.01, total_s=2))
    with pytest.raises(UnavailableError, match="network"):
        bucket.read("f")
