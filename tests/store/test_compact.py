"""The wide table holds what the fragments hold: layouts, aggregates, vectors and look-ups against plain Python."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from journey_operators import operators
from journeys import BROKEN, go, write_tar
from small_pictures import picture

from sluice.sample import Note
from sluice.store.compact import judge_notes
from sluice.store.fragments import source_names
from sluice.store.opened import Run
from sluice.store.passthrough import _wider, widened
from sluice.store.table import Table


def table_of(folder: Path, most: int, *, damaged: bool = True) -> tuple[Table, dict[str, list[bytes]]]:
    """A run over samples with up to `most` pictures each, and the pictures by key."""
    luck = random.Random(most)
    samples: dict[str, list[bytes]] = {}
    for k in range(20):
        samples[f"s{k:02d}"] = [
            BROKEN if damaged and luck.random() < 0.1 else picture(100 * k + i, luck.randrange(20, 90))
            for i in range(luck.randrange(0, most + 1))
        ]
    for shard in range(2):
        files = {}
        for k, (key, pictures) in enumerate(samples.items()):
            if k % 2 == shard:
                files |= {f"{key}.{i}.jpg": data for i, data in enumerate(pictures)}
                files[f"{key}.txt"] = b"a caption"
        write_tar(folder / f"in/{shard}.tar", files)
    go(folder, "  - measure: [image_width_px, image_pair, image_format]", operators=operators())
    ordered = [key for shard in range(2) for k, key in enumerate(samples) if k % 2 == shard]
    return Run.open(str(folder / "out")).table, {key: samples[key] for key in ordered}


def width(data: bytes) -> int | None:
    import io

    from PIL import Image

    return None if data == BROKEN else Image.open(io.BytesIO(data)).width


@pytest.mark.parametrize("most", [1, 3])
def test_layouts_and_aggregates(tmp_path: Path, most: int) -> None:
    table, samples = table_of(tmp_path, most)
    column = table.columns["image_width_px"]
    assert column.layout == ("scalar" if most == 1 else "list")
    for row, (key, pictures) in zip(table.rows(range(len(table))), samples.items(), strict=True):
        assert row["key"] == key
        expected = [width(data) for data in pictures]
        valid = [w for w in expected if w is not None]
        if most == 1:
            assert row["image_width_px"] == (expected[0] if expected else None)
            continue
        assert row["image_width_px"] == expected
        assert row["image_width_px__count"] == len(valid)
        assert row["image_width_px__min"] == (min(valid) if valid else None)
        assert row["image_width_px__max"] == (max(valid) if valid else None)
        assert row["image_width_px__mean"] == (sum(valid) / len(valid) if valid else None)


@pytest.mark.parametrize("most", [1, 3])
def test_vectors_lie_in_files_of_their_own(tmp_path: Path, most: int) -> None:
    table, samples = table_of(tmp_path, most)
    assert "image_pair" not in pq.read_schema(table.paths()[0]).names
    ordinals, items, matrix = table.vectors("image_pair")
    expected = [
        (ordinal, i, [len(data), data[0]])
        for ordinal, pictures in enumerate(samples.values())
        for i, data in enumerate(pictures)
        if len(data) % 2 == 0
    ]
    assert [(o, i) for o, i, _ in expected] == list(zip(ordinals.tolist(), items.tolist(), strict=True))
    np.testing.assert_array_equal(matrix, np.array([v for _, _, v in expected], np.float32))
    if most == 1:
        by_ordinal = {o: v for o, _, v in expected}
        for asked in ([0], [3, 4, 19], list(range(20))):
            found = table.vectors_of("image_pair", np.array(asked), "float32").to_pylist()
            assert found == [by_ordinal.get(o) for o in asked]


def test_vectors_of_samples_that_have_none(tmp_path: Path) -> None:
    write_tar(tmp_path / "in/a.tar", {"a.txt": b"x", "b.txt": b"y"})
    go(tmp_path, "  - measure: image_pair", operators=operators())
    table = Run.open(str(tmp_path / "out")).table
    assert table.vectors_of("image_pair", np.array([0, 1]), "float16").to_pylist() == [None, None]


def test_look_ups_in_any_order(tmp_path: Path) -> None:
    table, samples = table_of(tmp_path, 2)
    keys = list(samples)
    for asked in ([], [0], [19, 0, 7], [3, 3]):
        assert [row["key"] for row in table.rows(asked, ["key"])] == [keys[o] for o in asked]
    for taken in ([], [0, 19], list(range(5, 15))):
        found = table.take(np.array(taken, np.int64), ["key", "ordinal"])
        assert found.column("key").to_pylist() == [keys[o] for o in taken]
    for ordinal, key in enumerate(keys):
        assert table.find(key) == [ordinal]
    (row,) = table.rows([4], ["id"])
    assert table.find(row["id"]) == [4]
    assert table.find("nothing") == []
    assert [s.key for s in table.batch([2, 1])] == [keys[2], keys[1]]
    rows = table.rows_by_unit(np.arange(20))
    assert {unit: len(of_unit) for unit, of_unit in rows.items()} == {0: 10, 1: 10}


NOTES = st.builds(
    Note,
    st.sampled_from(["unreadable", "declined"]),
    st.sampled_from(["torn", "odd"]),
    item=st.integers(0, 3),
)


@given(
    st.lists(NOTES, max_size=4), st.lists(st.sampled_from(["image", "text", "other"]), min_size=1, max_size=4)
)
def test_a_sample_fails_for_its_only_medium_alone(notes: list[Note], modalities: list[str]) -> None:
    reason, errors = judge_notes(notes, modalities, modalities)
    bad = {n.item for n in notes if n.kind == "unreadable"}
    images = [i for i, m in enumerate(modalities) if m == "image"]
    texts = [i for i, m in enumerate(modalities) if m == "text"]
    alone = images or texts
    assert (reason is not None) == (len(alone) == 1 and alone[0] in bad)
    assert errors == (0 if reason is not None else len(bad))


@given(
    st.lists(NOTES, max_size=4),
    st.lists(st.sampled_from(["image", "text", "other", "metadata"]), min_size=1, max_size=4),
)
def test_a_document_goes_on_as_long_as_it_has_content(notes: list[Note], modalities: list[str]) -> None:
    numbers = iter(range(9))
    names = ["json" if m == "metadata" else f"{next(numbers)}.x" for m in modalities]
    reason, errors = judge_notes(notes, modalities, names)
    bad = {n.item for n in notes if n.kind == "unreadable"}
    content = [i for i, m in enumerate(modalities) if m in ("image", "text")]
    assert (reason is not None) == (len(content) == 1 and content[0] in bad)
    assert errors == (0 if reason is not None else len(bad))


def test_an_operators_error_fails_any_sample() -> None:
    for kind in ("read", "error", "crash"):
        note: Any = Note(kind, "why", item=0)
        assert judge_notes([note], ["image", "image"], ["0.jpg", "1.jpg"]) == ("why", 0)


KINDS = [
    pa.null(),
    pa.int64(),
    pa.float64(),
    pa.string(),
    pa.bool_(),
    pa.list_(pa.int64()),
    pa.struct([("a", pa.int64())]),
]
VALUES: dict[str, list[Any]] = {
    "null": [None, None],
    "int64": [1, 2**60 + 1],
    "double": [0.5, None],
    "string": ["x", "1"],
    "bool": [True, None],
    "list<element: int64>": [[1], None],
    "struct<a: int64>": [{"a": 1}, None],
}


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
def test_any_two_types_have_a_wider_one(kinds: list[pa.DataType]) -> None:
    wide = kinds[0]
    for kind in kinds:
        wide = _wider(wide, kind)
    for kind in kinds:
        values = VALUES[str(kind).replace("item:", "element:")]
        found = widened(pa.chunked_array([pa.array(values, kind)]), wide)
        assert found.type == wide
        assert [v is None for v in found.to_pylist()] == [v is None for v in values]


@given(st.lists(st.sampled_from(["row", "source_row", "notes", "a", "source_source_row"]), unique=True))
def test_source_columns_keep_apart(names: list[str]) -> None:
    found = source_names(names)
    assert len(set(found.values())) == len(names)
    assert not {"row", "notes"} & set(found.values())
    assert found.get("a", "a") == "a"
