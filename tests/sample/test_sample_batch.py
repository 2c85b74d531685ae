"""Samples survive the way to Arrow and back, and items are only ever dropped with all their values."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.sample import Batch, Item, Media, Sample, sample_id

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MODALITIES = ["text", "image", "video", "audio", "metadata", "other"]
NUMBER = st.none() | st.integers(0, 2**40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
MEDIA = st.builds(
    Media,
    uri=TEXT.filter(bool),
    offset=NUMBER,
    size=NUMBER,
    start_s=st.none() | st.floats(0, 1e6),
    end_s=st.none() | st.floats(0, 1e6),
    crop=st.none() | st.tuples(*[st.integers(0, 2**31 - 1)] * 4),
    data=st.none() | st.binary(max_size=8),
)
ITEM = st.builds(
    Item,
    modality=st.sampled_from(MODALITIES),
    content_type=TEXT,
    name=TEXT,
    text=st.none() | TEXT,
    media=st.none() | MEDIA | st.builds(Media, data=st.binary(max_size=8)),
    hash=st.none() | st.just("ab" * 16),
    fields=st.dictionaries(TEXT, JSON, max_size=2),
)
SAMPLE = st.builds(
    Sample,
    id=TEXT,
    key=TEXT,
    items=st.lists(ITEM, max_size=4).map(tuple),
    fields=st.fixed_dictionaries({}, optional={"score": st.floats(allow_nan=False), "source": TEXT}),
    parent=st.none() | TEXT,
)


@given(st.lists(SAMPLE, max_size=4))
def test_samples_come_back_as_they_went(samples: list[Sample]) -> None:
    assert list(Batch.from_samples(samples).samples()) == samples


@given(st.lists(SAMPLE, max_size=4))
def test_they_survive_a_file_and_slicing(samples: list[Sample]) -> None:
    data = Batch.from_samples(samples).data
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write_batch(data)
    read = pa.ipc.open_stream(sink.getvalue()).read_next_batch()
    assert list(Batch(read).samples()) == samples
    assert list(Batch(data.slice(1)).samples()) == samples[1:]


def test_bytes_in_hand_can_be_left_out() -> None:
    view = Media(uri="a.tar", offset=512, size=3, data=b"abc")
    (found,) = Batch.from_samples([Sample("i", "k", (Item("image", media=view),))], inline=False).samples()
    assert found.items[0].media == Media(uri="a.tar", offset=512, size=3)


@given(st.lists(SAMPLE, max_size=4), st.sampled_from(MODALITIES))
def test_counts(samples: list[Sample], modality: str) -> None:
    batch = Batch.from_samples(samples)
    assert batch.counts(modality).to_pylist() == [len(s.of(modality)) for s in samples]
    assert Batch(batch.data.slice(1)).counts(modality).to_pylist() == [
        len(s.of(modality)) for s in samples[1:]
    ]


def _with_positions(samples: list[Sample]) -> Batch:
    """A batch with a column for each modality that holds each item's index in its sample."""
    batch = Batch.from_samples(samples)
    for modality in MODALITIES:
        places = [[i for i, _ in s.of(modality)] for s in samples]
        batch = batch.with_item_column(f"at_{modality}", pa.array(places, pa.list_(pa.int64())), modality)
    return batch


@given(st.data(), st.lists(SAMPLE, max_size=4), st.sampled_from(MODALITIES), st.integers(0, 2))
def test_dropping_items_keeps_every_value_with_its_item(
    data: st.DataObject, samples: list[Sample], modality: str, start: int
) -> None:
    batch = Batch(_with_positions(samples).data.slice(start))
    samples = samples[start:]
    flags = [[data.draw(st.sampled_from([True, False, None])) for _ in s.of(modality)] for s in samples]
    kept = batch.filter_items(modality, pa.array(flags, pa.list_(pa.bool_())))
    for sample, row, found in zip(samples, flags, kept.samples(), strict=True):
        gone = {i for (i, _), flag in zip(sample.of(modality), row, strict=True) if not flag}
        assert found.items == tuple(item for i, item in enumerate(sample.items) if i not in gone)
    for other in MODALITIES:
        places = kept.data.column(f"at_{other}").to_pylist()
        for sample, row, place in zip(samples, flags, places, strict=True):
            before = [i for i, _ in sample.of(other)]
            assert place == (
                [i for i, flag in zip(before, row, strict=True) if flag] if other == modality else before
            )


def _two_pictures() -> Batch:
    return Batch.from_samples(
        [Sample("i", "k", (Item("image"), Item("image"))), Sample("j", "l", (Item("image"),))]
    )


@pytest.mark.parametrize("flags", [[[True], [True, True]], [[True, True, True], []], [[True, True]]])
def test_flags_that_do_not_fit_the_items_are_refused(flags: list[list[bool]]) -> None:
    with pytest.raises(ValueError, match="differ from the number of image items"):
        _two_pictures().filter_items("image", pa.array(flags, pa.list_(pa.bool_())))


def test_columns_that_do_not_fit_the_items_are_refused() -> None:
    with pytest.raises(ValueError, match="width: list lengths differ from the number of image items"):
        _two_pictures().with_item_column("width", pa.array([[1], [2, 3]]), "image")


def test_a_passthrough_column_may_not_hide_ours() -> None:
    with pytest.raises(ValueError, match="a passthrough column may not be called 'items'"):
        Batch.from_samples([Sample("i", "k", fields={"items": 1})])


def test_values_of_different_types_pass_through_as_json_text() -> None:
    scores: list[Any] = [1, "high", None, {"a": [2]}]
    batch = Batch.from_samples([Sample(str(k), str(k), fields={"score": v}) for k, v in enumerate(scores)])
    assert batch.data.column("score").to_pylist() == ["1", "high", None, '{"a": [2]}']


def test_ids_depend_on_each_part_and_take_broken_names() -> None:
    ids = {
        sample_id("a", "b"),
        sample_id("a", "b", 1),
        sample_id("ab", ""),
        sample_id("", "ab"),
        sample_id("a\udcff", "b"),
    }
    assert len(ids) == 5
    assert sample_id("a", "b") == sample_id("a", "b", 0)
    assert all(len(i) == 32 for i in ids)


@given(
    st.binary(max_size=200),
    st.integers(0, 50),
    st.integers(0, 100),
    st.lists(st.integers(-5, 120), max_size=6),
)
def test_a_view_reads_like_the_file_it_views(
    tmp_path_factory: Any, data: bytes, offset: int, size: int, seeks: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "viewed"
    path.write_bytes(data)
    part = data[offset : offset + size]
    view = Media(uri=str(path), offset=offset, size=len(part))
    assert view.read() == part
    assert view.head(7) == part[:7]
    with view.open() as ours, io.BytesIO(part) as theirs:
        for seek in seeks:
            at = max(0, seek)
            assert ours.seek(at) == theirs.seek(at)
            assert ours.read(13) == theirs.read(13)
        assert ours.seek(0, io.SEEK_END) == len(part)
