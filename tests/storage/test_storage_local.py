"""Local files: whole writes, exact ranges, ordered listings, and errors that say what to do."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import NotFoundError, StorageError
from sluice.storage import Location
from sluice.storage.backend import coalesce, is_temporary, temporary_name
from sluice.storage.faults import from_os_error
from sluice.storage.local import TargetFile

FILE_NAMES = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=60
).filter(lambda name: name not in (".", "..") and len(name.encode()) <= 255)

# Their order tells byte order from the order of UTF-16 or of folders before files.
SEGMENTS = st.sampled_from(["a", "b", "a.b", "a-b", "B", "ü", "\U0001f600", "\uffff"])

UNTIMED = settings(deadline=None)  # machines that run tests are busy

KILLED_WRITER = """
import sys
from sluice.storage import Location
with Location(sys.argv[1]).writer() as file:
    file.write(bytes(20_000_000))
    file.flush()
    print("half", flush=True)
    sys.stdin.read()
"""


@UNTIMED
@given(name=FILE_NAMES, data=st.binary(max_size=300))
def test_any_name_round_trips(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        location = Location(folder) / name
        location.write(data)
        assert location.read() == data
        entry = location.stat()
        assert entry is not None
        assert (entry.path, entry.size) == (name, len(data))
        assert [found.path for found in Location(folder).list()] == [name]
        location.delete()
        location.delete()
        assert not location.exists()


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Location:
    location = Location(tmp_path_factory.mktemp("ranges") / "f")
    location.write(bytes(range(250)) * 4)
    return location


@UNTIMED
@given(st.lists(st.tuples(st.integers(0, 1010), st.integers(0, 1010)), max_size=8))
def test_ranges_are_exact_or_refused(thousand: Location, ranges: list[tuple[int, int]]) -> None:
    data = bytes(range(250)) * 4
    good = [(offset, size) for offset, size in ranges if offset + size <= len(data)]
    assert thousand.read_ranges(good) == [data[offset : offset + size] for offset, size in good]
    for offset, size in ranges:
        if offset + size <= len(data):
            assert thousand.read_range(offset, size) == data[offset : offset + size]
        elif size:
            with pytest.raises(StorageError, match=f"offset {offset}"):
                thousand.read_range(offset, size)
            with pytest.raises(StorageError, match="truncated"):
                thousand.read_ranges([(0, 1), (offset, size)])


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, -1)])
def test_impossible_ranges(thousand: Location, offset: int, size: int) -> None:
    with pytest.raises(StorageError):
        thousand.read_range(offset, size)


@UNTIMED
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 40)), max_size=20), st.integers(0, 60))
def test_coalesced_spans_cover_and_stay_apart(ranges: list[tuple[int, int]], gap: int) -> None:
    data = bytes(index % 251 for index in range(600))
    spans, places = coalesce(ranges, gap)
    blocks = [data[start : start + size] for start, size in spans]
    for (offset, size), (span, at) in zip(ranges, places, strict=True):
        found = blocks[span][at : at + size] if span >= 0 else b""
        assert found == data[offset : offset + size]
    for (start, size), (later, _) in itertools.pairwise(spans):
        assert later - (start + size) > gap


def test_stream_and_open(thousand: Location) -> None:
    data = thousand.read()
    assert b"".join(thousand.stream(7)) == data
    assert b"".join(thousand.stream(start=990)) == data[990:]
    assert list(thousand.stream(start=1000)) == []
    with pytest.raises(StorageError):
        thousand.stream(0)
    with thousand.open() as file:
        assert file.seek(-3, os.SEEK_END) == 997
        assert file.read() == data[-3:]


def _write_then_raise(location: Location) -> None:
    with location.writer() as file:
        file.write(b"new" * 1_000_000)
        raise KeyError


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    location = Location(tmp_path / "f")
    location.write(b"old")
    with pytest.raises(KeyError):
        _write_then_raise(location)
    assert location.read() == b"old"
    assert os.listdir(tmp_path) == ["f"]  # noqa: PTH208 - names, hidden ones too


def test_writer_tells_syncs_and_makes_folders(tmp_path: Path) -> None:
    location = Location(tmp_path / "a" / "b" / "f")
    with location.writer(fsync=True) as file:
        file.write(b"12345")
        assert file.tell() == 5
        assert not location.exists()
        file.close()  # some libraries close what they are given
    assert location.read() == b"12345"
    assert location.path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_sigkill_in_the_middle_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    target = Location(tmp_path / "shard.tar")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, target.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not target.exists()
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1
    assert is_temporary(left[0])
    assert list(Location(tmp_path).list()) == []
    target.write(b"again")
    assert [entry.path for entry in Location(tmp_path).list()] == ["shard.tar"]


def test_longest_names_can_be_written(tmp_path: Path) -> None:
    for name in ("x" * 255, "é" * 127):
        (Location(tmp_path) / name).write(b"1")
        assert (Location(tmp_path) / name).read() == b"1"
    with pytest.raises(StorageError, match="too long"):
        (Location(tmp_path) / ("x" * 256)).write(b"1")


@UNTIMED
@given(FILE_NAMES)
def test_temporary_names_are_known(name: str) -> None:
    assert is_temporary(temporary_name(name))
    assert not is_temporary(f"{name}.tar")


@UNTIMED
@given(st.sets(st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join), max_size=8))
def test_listing_is_in_byte_order(paths: set[str]) -> None:
    files = {path for path in paths if not any(other.startswith(f"{path}/") for other in paths)}
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            (Location(folder) / path).write(path.encode())
        listed = [(entry.path, entry.size) for entry in Location(folder).list()]
        flat = [entry.path for entry in Location(folder).list(recursive=False)]
    assert listed == [(path, len(path.encode())) for path in sorted(files, key=str.encode)]
    assert flat == sorted((path for path in files if "/" not in path), key=str.encode)


def test_listing_of_links_pipes_broken_names_and_nothing(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "d").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(b"no")
    (root / "d" / "f").write_bytes(b"12")
    (root / "loop").symlink_to(root)
    (root / "out").symlink_to(outside)
    (root / "good").symlink_to(outside / "secret")
    (root / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "pipe")
    Path(os.fsdecode(os.fsencode(root) + b"/bad\xff")).write_bytes(b"z")
    listed = {entry.path: entry.size for entry in Location(root).list()}
    assert list(listed) == ["bad\udcff", "d/f", "gone", "good"]
    assert listed["good"] == 2
    assert (Location(root) / "bad\udcff").read() == b"z"
    assert list(Location(tmp_path / "nowhere").list()) == []
    assert list(Location(root / "d" / "f").list()) == []
    with pytest.raises(NotFoundError):
        (Location(root) / "gone").read()
    for name in ("pipe", "d"):
        with pytest.raises(StorageError, match="is "):
            (Location(root) / name).read()


def test_exists_and_is_dir(tmp_path: Path) -> None:
    location = Location(tmp_path) / "x"
    assert not location.exists()
    location.make_dirs()
    location.make_dirs()
    assert location.exists()
    assert location.is_dir()
    assert location.stat() is None
    (location / "f").write(b"")
    assert (location / "f").exists()
    assert not (location / "f").is_dir()
    assert not (location / "f" / "below").exists()
    with pytest.raises(StorageError, match="folder"):
        location.write(b"1")
    with pytest.raises(StorageError, match="folder"):
        location.delete()
    with pytest.raises(StorageError):
        (location / "f" / "below").write(b"1")


def test_delete_tree_and_what_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "f").write_bytes(b"1")
    tree = Location(tmp_path / "tree")
    (tree / "a" / "b").write(b"1")
    (tree.path / "link").symlink_to(kept)
    tree.delete_tree()
    tree.delete_tree()
    assert not tree.exists()
    assert (kept / "f").exists()
    (tmp_path / "link").symlink_to(kept)
    Location(tmp_path / "link").delete_tree()
    assert (kept / "f").exists()
    monkeypatch.setenv("HOME", str(kept))
    for refused in ("/", str(kept), str(tmp_path), f"{tmp_path}/kept/"):
        with pytest.raises(StorageError, match="refusing"):
            Location(refused).delete_tree()
    assert (kept / "f").exists()


def test_upload_and_download(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_000))
    copy = Location(tmp_path / "copy")
    copy.upload(source)
    copy.download(tmp_path / "back" / "f")
    assert (tmp_path / "back" / "f").read_bytes() == source.read_bytes()
    with pytest.raises(NotFoundError):
        copy.upload(tmp_path / "absent")
    with pytest.raises(NotFoundError):
        Location(tmp_path / "absent").download(copy.path)
    assert copy.read() == source.read_bytes()


def test_is_writable(tmp_path: Path) -> None:
    Location(tmp_path).is_writable()
    Location(tmp_path / "new").is_writable()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFoundError, match="mkdir"):
        Location(tmp_path / "no" / "such").is_writable()
    with pytest.raises(StorageError):
        Location("/proc/x").is_writable()


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.ENOSPC, StorageError, "free some space"),
        (errno.EROFS, StorageError, "read-only"),
        (errno.EACCES, StorageError, "permission denied"),
        (errno.EDQUOT, StorageError, "quota"),
        (errno.EMFILE, StorageError, "ulimit -n"),
        (errno.ENOENT, NotFoundError, "no such file"),
        (errno.ENOTDIR, NotFoundError, "not a folder"),
        (errno.EPIPE, StorageError, "Broken pipe"),
    ],
)
def test_errors_of_the_system_say_what_to_do(code: int, kind: type[StorageError], words: str) -> None:
    error = from_os_error(OSError(code, os.strerror(code)), "/out/x")
    assert type(error) is kind
    assert error.where == "/out/x"
    assert error.fix
    assert words in str(error)


def test_a_full_device_says_so() -> None:
    with TargetFile(os.open("/dev/full", os.O_WRONLY), "/out/x") as file:
        with pytest.raises(StorageError, match="no space left"):
            file.write(b"1")
        file.discarded = True


def test_a_file_that_may_not_grow_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StorageError, match="allowed size"):
            Location(tmp_path / "f").write(bytes(2_000_000))
        with pytest.raises(StorageError, match="allowed size"):
            _write_by_pieces(Location(tmp_path / "f"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def _write_by_pieces(location: Location) -> None:
    with location.writer() as file:
        for _ in range(2000):
            file.write(bytes(1000))
