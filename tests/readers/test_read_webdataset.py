"""WebDataset tars: grouping, slices, every dialect, and every way in which an archive can be bad."""

from __future__ import annotations

import gzip
import io
import itertools
import pickle
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tars import add, contents, failures, read_all, tar_bytes

import sluice.readers.webdataset as webdataset
from sluice.errors import SourceError, UsageError
from sluice.readers import open_reader

PAIRS = [(f"{k:03d}.{ext}", f"{ext} of {k}".encode() * 40) for k in range(5) for ext in ("jpg", "txt", "cls")]
LONG = "d" * 90 + "/" + "e" * 120 + "/" + "f" * 130


def written(tmp_path: Path, data: bytes, name: str = "a.tar") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_one_key_are_one_sample(tmp_path: Path, style: int) -> None:
    samples = read_all(written(tmp_path, tar_bytes(PAIRS, style)))
    assert [s.key for s in samples] == ["000", "001", "002", "003", "004"]
    assert [(i.modality, i.content_type, i.name) for i in samples[0].items] == [
        ("image", "image/jpeg", "jpg"),
        ("text", "text/plain", "txt"),
        ("other", "application/octet-stream", "cls"),
    ]
    assert contents(samples[3]) == {e: f"{e} of 3".encode() * 40 for e in ("jpg", "txt", "cls")}
    assert all(i.media is not None and i.media.addressable for s in samples for i in s.items)


@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(tmp_path: Path, style: int) -> None:
    members = [(f"{LONG}.jpg", b"1"), (f"{LONG}.txt", b"2"), ("ça va/日本.jpg", b"3")]
    samples = read_all(written(tmp_path, tar_bytes(members, style)))
    assert [s.key for s in samples] == [LONG, "ça va/日本"]
    assert contents(samples[0]) == {"jpg": b"1", "txt": b"2"}


def test_v7_and_pax_sizes(tmp_path: Path) -> None:
    v7 = bytearray(tar_bytes([("a.jpg", b"x" * 700)]))
    v7[257:512] = bytes(255)  # no magic, as before POSIX
    v7[148:156] = b" " * 8
    v7[148:156] = b"%06o\0 " % sum(v7[:512])
    assert contents(read_all(written(tmp_path, bytes(v7)))[0]) == {"jpg": b"x" * 700}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("b.jpg")
        info.size, info.pax_headers = 3, {"size": "3", "mtime": "1.5"}
        tar.addfile(info, io.BytesIO(b"xyz"))
    assert contents(read_all(written(tmp_path, buffer.getvalue()))[0]) == {"jpg": b"xyz"}


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.zst"])
def test_compressed_tars_are_streamed_with_bytes_in_hand(tmp_path: Path, suffix: str) -> None:
    plain = tar_bytes([*PAIRS, ("big.jpg", b"0123456789" * 300000)])
    tool = ["zstd", "-qc"] if suffix.endswith("zst") else ["gzip", "-c"]
    packed = subprocess.run(tool, input=plain, capture_output=True, check=True).stdout
    path = written(tmp_path, packed, f"a{suffix}")
    samples = read_all(path)
    assert [contents(s) for s in samples] == [contents(s) for s in read_all(written(tmp_path, plain))]
    assert not open_reader(path).addressable
    assert not any(i.media is None or i.media.addressable for s in samples for i in s.items)


def hostile(*members: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data, kind in members:
            add(tar, name, data, kind)
    return buffer.getvalue()


F = tarfile.REGTYPE
GOOD = [("a.jpg", b"A", F), ("a.txt", b"a", F)]
END = [("z.jpg", b"Z", F), ("z.txt", b"z", F)]
BAD = {
    "absolute": ([("/etc/passwd.jpg", b"x", F)], {"/etc/passwd": "unsafe member name"}),
    "dotdot": ([("../../x.jpg", b"x", F)], {"../../x": "unsafe member name"}),
    "inner dotdot": ([("d/../x.jpg", b"x", F)], {"d/../x": "unsafe member name"}),
    "symlink": ([("b.jpg", b"", tarfile.SYMTYPE), ("b.txt", b"b", F)], {"b": "link member"}),
    "hard link": ([("b.txt", b"b", F), ("b.jpg", b"", tarfile.LNKTYPE)], {"b": "link member"}),
    "device": ([("b.jpg", b"", tarfile.CHRTYPE)], {"b": "device member"}),
    "block device": ([("b.jpg", b"", tarfile.BLKTYPE)], {"b": "device member"}),
    "fifo": ([("b.jpg", b"", tarfile.FIFOTYPE)], {"b": "device member"}),
    "duplicate": ([("b.jpg", b"1", F), ("b.jpg", b"2", F)], {"b": "duplicate member"}),
    "apart": (
        [("b.jpg", b"1", F), ("c.jpg", b"2", F), ("b.txt", b"3", F), ("c.txt", b"", F), ("b.x", b"", F)],
        {"b": "members not adjacent", "c": "members not adjacent"},
    ),
    "no name": ([("", b"1", F)], None),
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("case", list(BAD))
def test_bad_members_fail_their_key_once_and_nothing_else(tmp_path: Path, case: str, compress: bool) -> None:
    members, expected = BAD[case]
    data = hostile(*GOOD, *members, *END)
    name = "a.tar.gz" if compress else "a.tar"
    samples = read_all(written(tmp_path, gzip.compress(data) if compress else data, name))
    good = {s.key: contents(s) for s in samples if not s.notes}
    assert good == {"a": {"jpg": b"A", "txt": b"a"}, "z": {"jpg": b"Z", "txt": b"z"}}
    failed = failures(samples)
    assert failed == expected if expected is not None else list(failed.values()) == ["unsafe member name"]
    assert all(s.notes[0].kind == "read" and not s.items for s in samples if s.notes)


def test_folders_are_ignored_and_do_not_part_a_sample(tmp_path: Path) -> None:
    data = hostile(("d/", b"", tarfile.DIRTYPE), GOOD[0], ("e/", b"", tarfile.DIRTYPE), GOOD[1])
    samples = read_all(written(tmp_path, data))
    assert [contents(s) for s in samples] == [{"jpg": b"A", "txt": b"a"}]


def test_names_that_are_not_utf8_become_text(tmp_path: Path) -> None:
    data = hostile(("caf\udce9.jpg", b"x", F), ("caf\udce9.txt", b"y", F))
    samples = read_all(written(tmp_path, data))
    assert [(s.key, contents(s)) for s in samples] == [("caf%E9", {"jpg": b"x", "txt": b"y"})]


def test_members_without_extension(tmp_path: Path) -> None:
    samples = read_all(written(tmp_path, hostile(("README", b"r", F), ("b.jpg", b"b", F))))
    assert [(s.key, s.items[0].name, s.items[0].modality) for s in samples] == [
        ("README", "", "other"),
        ("b", "jpg", "image"),
    ]


def test_empty_and_absent_archives(tmp_path: Path) -> None:
    assert read_all(written(tmp_path, bytes(10240))) == []
    assert failures(read_all(written(tmp_path, b"", "empty.tar"))) == {"empty.tar": "truncated tar"}
    assert failures(read_all(written(tmp_path, b"\x93hello" * 1000, "no.tar"))) == {
        "no.tar": "bad tar header"
    }
    with pytest.raises(SourceError, match="no such file"):
        open_reader(tmp_path / "none.tar")


@pytest.mark.parametrize("compress", [False, True])
def test_every_truncation_keeps_the_samples_before_the_cut(tmp_path: Path, compress: bool) -> None:
    whole = tar_bytes(PAIRS)
    for cut in range(0, len(PAIRS) * 1024 + 1, 256):
        data = gzip.compress(whole[:cut]) if compress else whole[:cut]
        samples = read_all(written(tmp_path, data, "t.tar.gz" if compress else "t.tar"))
        good = [s for s in samples if not s.notes]
        assert [contents(s) for s in good] == [dict_of(k) for k in range(len(good))]
        # A sample takes 3 × (512 + 512) bytes; all that lie wholly before the cut are there, but for the one
        # whose end only the next header would prove.
        assert len(good) >= cut // 3072 - 1
        assert list(failures(samples).values()) in (["truncated tar"], [])
        assert len(samples) == -(-max(cut, 1) // 3072) or samples[-1].notes


def dict_of(k: int) -> dict[str, bytes]:
    return {name.split(".", 1)[1]: data for name, data in PAIRS[3 * k : 3 * k + 3]}


def test_truncated_gzip_stream(tmp_path: Path) -> None:
    packed = gzip.compress(tar_bytes([(f"{k:04d}.jpg", bytes([k % 251]) * 5000) for k in range(400)]), 1)
    samples = read_all(written(tmp_path, packed[: len(packed) * 3 // 4], "t.tar.gz"))
    good = [s for s in samples if not s.notes]
    assert 200 < len(good) < 400
    assert list(failures(samples).values()) == ["truncated tar"]
    assert all(contents(s)["jpg"] == bytes([int(s.key) % 251]) * 5000 for s in good)


def test_a_bad_header_fails_its_neighbours_and_reading_goes_on(tmp_path: Path) -> None:
    data = bytearray(tar_bytes(PAIRS))
    data[1024 * 4 + 20] ^= 0xFF  # the second member of sample 1
    samples = read_all(written(tmp_path, bytes(data)))
    assert failures(samples) == {"001": "bad tar header"}
    assert [s.key for s in samples] == ["000", "001", "002", "003", "004"]
    data[1024 * 3 + 20] ^= 0xFF  # and its first: what is left of it must not pass for whole
    samples = read_all(written(tmp_path, bytes(data)))
    assert failures(samples) == {"000": "bad tar header", "001": "bad tar header"}


def test_trailing_garbage_is_ignored_but_further_members_are_reported(tmp_path: Path) -> None:
    whole = tar_bytes(PAIRS)
    assert failures(read_all(written(tmp_path, whole + b"garbage" * 999))) == {}
    two = read_all(written(tmp_path, whole + tar_bytes([("q.jpg", b"q")])))
    assert failures(two) == {"a.tar": "members after the end of the archive"}
    assert len(two) == 6


def test_sparse_members_are_refused(tmp_path: Path) -> None:
    holes = tmp_path / "h.jpg"
    with holes.open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    (tmp_path / "i.jpg").write_bytes(b"plain")
    for style in ("gnu", "posix"):
        path = tmp_path / f"{style}.tar"
        command = ["tar", f"--format={style}", "-S", "-cf", str(path), "-C", str(tmp_path), "h.jpg", "i.jpg"]
        subprocess.run(command, check=True)
        samples = read_all(path)
        assert failures(samples) == {"h": "sparse member"}
        assert contents(samples[1]) == {"jpg": b"plain"}


def test_slices_cover_a_shard_and_agree_with_reading_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [(f"{k:05d}.{e}", bytes([k % 256]) * (k % 900)) for k in range(1300) for e in ("jpg", "txt")]
    members[1700] = ("00003.late", b"x")  # sample 3 goes on in another slice
    path = written(tmp_path, tar_bytes(members))
    reader = pickle.loads(pickle.dumps(open_reader(path)))  # noqa: S301 - our own
    parts = list(reader.slices())
    assert len(parts) == 3
    assert [p.first_row for p in parts] == [0, 512, 512 + parts[1].samples]
    assert all(a.stop == b.start for a, b in itertools.pairwise(parts))
    cut = [s for p in parts for s in reader.read(p)]
    assert failures(cut) == {"00003": "members not adjacent"}
    monkeypatch.setattr(webdataset, "SLICE_SAMPLES", 10**9)
    assert cut == read_all(path)
    assert len({s.id for s in cut}) == len(cut)


def test_a_key_with_endless_members_is_bounded(tmp_path: Path) -> None:
    members = [("a.jpg", b""), *((f"b.{k}", b"") for k in range(10_050)), ("c.jpg", b"")]
    samples = read_all(written(tmp_path, tar_bytes(members)))
    assert failures(samples) == {"b": "too many members"}
    assert [s.key for s in samples] == ["a", "b", "c"]


def test_a_shard_that_vanishes_is_one_failure(tmp_path: Path) -> None:
    path = written(tmp_path, tar_bytes(PAIRS))
    reader = open_reader(tmp_path)
    parts = list(reader.slices())
    path.unlink()
    assert failures([s for p in parts for s in reader.read(p)]) == {"a.tar": "file not readable"}


def test_columns_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no columns"):
        open_reader(written(tmp_path, tar_bytes(PAIRS)), columns={"image": "jpg"})


def test_limit(tmp_path: Path) -> None:
    plain = written(tmp_path, tar_bytes(PAIRS))
    packed = written(tmp_path, gzip.compress(tar_bytes(PAIRS)), "b.tar.gz")
    assert [s.key for s in read_all(plain, limit=3)] == ["000", "001", "002"]
    assert [s.key for s in read_all(packed, limit=2)] == ["000", "001"]
    assert len(read_all(tmp_path, limit=7)) == 7


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bytes_never_raise_or_hang(
    tmp_path: Path, data_dir: Path, pack: Callable[[bytes], bytes], data: st.DataObject
) -> None:
    whole = bytearray(pack((data_dir / "wds" / "clip-retrieval__image3.tar").read_bytes()[: 28 << 10]))
    for _ in range(data.draw(st.integers(1, 6))):
        if data.draw(st.booleans()):  # headers are where it hurts
            place = data.draw(st.sampled_from([0, 8192])) + data.draw(st.integers(0, 511))
        else:
            place = data.draw(st.integers(0, len(whole) - 1))
        whole[min(place, len(whole) - 1)] = data.draw(st.integers(0, 255))
    name = "f.tar" if pack is bytes else "f.tar.gz"
    samples = read_all(written(tmp_path, bytes(whole), name))
    assert len(samples) <= 10
    assert all(s.items or s.notes for s in samples)


REAL = {
    "Curator__00000.tar": (1, {"jpg"}),
    "clip-retrieval__image1.tar": (4, {"jpg"}),
    "lhotse__recording.000000.tar": (2, {"nodata", "nometa"}),
    "video2dataset__return_all_test.tar": (6, {"json", "mp4", "txt"}),
    "webdataset__compressed.tar": (3, {"txt.gz"}),
    "webdataset__mpdata.tar": (100, {"mp"}),
}


@pytest.mark.parametrize("name", list(REAL))
def test_real_shards_hold_what_tarfile_finds(data_dir: Path, name: str) -> None:
    path = data_dir / "wds" / name
    samples = read_all(path)
    count, names = REAL[name]
    assert len(samples) == count
    assert {i.name for s in samples for i in s.items} == names
    with tarfile.open(path) as tar:
        expected = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]
    ours = {f"{s.key}.{n}": data for s in samples for n, data in contents(s).items()}
    assert ours == expected
