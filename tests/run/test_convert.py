"""Conversions lose nothing: bytes, keys and sidecars come out as they went in, and failures are counted."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_pictures import make_source, picture

from sluice.errors import SourceError, UsageError
from sluice.readers import open_reader
from sluice.run.convert import Converted, Feed, convert, unique_key
from sluice.sample import Item, Sample

FORMATS = ("webdataset", "folder", "parquet", "jsonl")


def contents(path: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Every sample's items by key: names and bytes, in order."""
    reader = open_reader(str(path))
    found: dict[str, list[tuple[str, bytes]]] = {}
    for part in reader.slices():
        for sample in reader.read(part):
            assert not sample.notes
            assert sample.key not in found
            found[sample.key] = [(item.name, _bytes(item)) for item in sample.items]
    return found


def _bytes(item: Item) -> bytes:
    if item.media is not None:
        return item.media.read()
    return (item.text or "").encode()


names = st.text("abcé中 ()_-", min_size=1, max_size=6).map(lambda t: f"k{t}k")
sidecars = st.dictionaries(st.sampled_from(["txt", "json", "cls", "npy"]), st.binary(max_size=40), max_size=3)
datasets = st.dictionaries(names, st.tuples(st.integers(0, 99), sidecars), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dataset=datasets, formats=st.permutations(FORMATS), shard_samples=st.integers(1, 4))
def test_bytes_keys_and_sidecars_survive_any_chain_of_formats(
    tmp_path_factory: pytest.TempPathFactory,
    dataset: dict[str, tuple[int, dict[str, bytes]]],
    formats: list[str],
    shard_samples: int,
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    source = folder / "start.tar"
    expected = {}
    with tarfile.open(source, "w") as tar:
        for key, (seed, beside) in dataset.items():
            members = {"jpg": picture(seed, 8, 8), **beside}
            if "txt" in members:
                members["txt"] = members["txt"].hex().encode()
            for name, data in members.items():
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            expected[key] = list(members.items())
    place = source
    for number, format in enumerate(formats):
        target = folder / f"{number}-{format}"
        done = convert(str(place), str(target), to=format, shard_samples=shard_samples, quiet=True)
        assert (done.read, done.written, done.failed) == (len(dataset), len(dataset), 0)
        place = target
        found = contents(place)
        # A folder is read in the order of its paths; everything else keeps the order of samples and items.
        assert {k: sorted(v) for k, v in found.items()} == {k: sorted(v) for k, v in expected.items()}


def test_failures_are_counted_listed_and_leave_the_rest_whole(tmp_path: Path) -> None:
    source = tmp_path / "bad.tar"
    with tarfile.open(source, "w") as tar:
        for name in ("a.jpg", "../b.jpg", "c.jpg", "a.txt"):
            data = picture(1, 8, 8)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    done = convert(str(source), str(tmp_path / "out"), to="folder", quiet=True)
    assert done.read == done.written + done.failed == 3
    assert done.reasons == {"unsafe member name": 1, "members not adjacent": 1}
    assert sorted(f.reason for f in done.failures) == sorted(done.reasons)
    assert list(contents(tmp_path / "out")) == ["c"]
    assert not (tmp_path / "b.jpg").exists()


def test_missing_media_of_a_table_fails_its_sample(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/here.jpg").write_bytes(picture(1))
    lines = ['{"key": "a", "image": "here.jpg"}', '{"key": "b", "image": "gone.jpg"}', "{oops"]
    (tmp_path / "in/t.jsonl").write_text("\n".join(lines))
    done = convert(str(tmp_path / "in/t.jsonl"), str(tmp_path / "out"), quiet=True)
    assert (done.read, done.written) == (3, 1)
    assert {f.key: f.reason for f in done.failures}["b"] == "file missing"
    assert list(contents(tmp_path / "out")) == ["a"]


def test_shards_close_by_size_and_count(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in")
    size = len(picture(0))
    by_size = convert(str(source), str(tmp_path / "a"), shard_size=3 * size, quiet=True)
    by_count = convert(str(source), str(tmp_path / "b"), shard_samples=3, quiet=True)
    assert by_size.shards > 2
    assert by_count.shards == 4
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    whole = convert(str(source), str(tmp_path / "c"), quiet=True)
    assert (whole.shards, whole.written) == (1, 10)
    again = convert(str(source), str(tmp_path / "d"), quiet=True)
    assert again.size_bytes == whole.size_bytes
    assert (tmp_path / "c/00000.tar").read_bytes() == (tmp_path / "d/00000.tar").read_bytes()


def test_a_key_that_repeats_across_shards_gets_its_shards_name(tmp_path: Path) -> None:
    for shard in ("x", "y"):
        (tmp_path / "in").mkdir(exist_ok=True)
        with tarfile.open(tmp_path / f"in/{shard}.tar", "w") as tar:
            info = tarfile.TarInfo("d/a.jpg")
            info.size = 3
            tar.addfile(info, io.BytesIO(b"jpg"))
    done = convert(str(tmp_path / "in"), str(tmp_path / "out"), quiet=True)
    assert list(contents(tmp_path / "out")) == ["d/a", "d/y-a"]
    assert done.renamed == 1


@given(st.lists(st.tuples(st.sampled_from("ab/"), st.sampled_from("xy")), max_size=30))
def test_unique_keys_are_unique_and_change_nothing_needlessly(keys: list[tuple[str, str]]) -> None:
    taken: set[str] = set()
    given_keys = [f"d{a}k" for a, _ in keys]
    found = [unique_key(k, stem, taken) for k, (_, stem) in zip(given_keys, keys, strict=True)]
    assert len(set(found)) == len(found)
    first = {k: n for n, k in reversed(list(enumerate(given_keys)))}
    assert all(found[n] == k for k, n in first.items())


@given(sizes=st.lists(st.integers(0, 50), max_size=30), limit=st.integers(1, 60), count=st.integers(1, 10))
def test_the_feed_holds_one_sample_ahead_and_loses_none(sizes: list[int], limit: int, count: int) -> None:
    pulled = 0

    def samples() -> Iterator[Sample]:
        nonlocal pulled
        for number, size in enumerate(sizes):
            pulled += 1
            yield Sample(str(number), str(number), (Item("text", text="x" * size),))

    feed, shards, given_out = Feed(samples(), limit, count), [], 0
    while feed.more():
        shard = []
        for sample in feed.shard():
            given_out += 1
            assert pulled <= given_out + 1
            shard.append(sample)
        assert [s.key for s in shard] == feed.keys
        shards.append(shard)
    assert [s.key for shard in shards for s in shard] == [str(n) for n in range(len(sizes))]
    for shard in shards:
        assert 1 <= len(shard) <= count
        assert len(shard) == 1 or sum(s.size_bytes for s in shard) <= limit


def test_failures_beyond_what_is_listed_are_counted() -> None:
    done = Converted()
    for number in range(10_010):
        done.fail(str(number), "broken")
    assert done.failed == 10_010
    assert len(done.failures) == 10_000


def test_a_target_with_something_in_it_is_refused(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="something here already"):
        convert(str(source), str(tmp_path / "out"), quiet=True)
    with pytest.raises(UsageError, match="inside the source"):
        convert(str(source), str(source / "out"), quiet=True)
    with pytest.raises(UsageError, match="did you mean 'parquet'"):
        convert(str(source), str(tmp_path / "new"), to="parquett", quiet=True)
    with pytest.raises(SourceError):
        convert(str(tmp_path / "nowhere"), str(tmp_path / "new"), quiet=True)
    assert not (tmp_path / "new").exists()
