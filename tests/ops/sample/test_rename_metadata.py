"""Names in metadata change, values and all other bytes stay; what cannot be renamed for certain fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import PlanError
from sluice.operator import registry
from sluice.operator.mapping import MapperChain
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sample import Item, Media, Sample

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def _item(data: bytes) -> Item:
    return Item("metadata", name="json", media=Media(data=data))


def _mapped(names: dict[str, str], *items: Item, **fields: Any) -> Sample:
    chain = MapperChain([registry().bind("sample_rename_metadata", {"names": names})])
    (sample,) = chain([Sample("a", "a", items, fields)])
    return sample


def _data(item: Item) -> bytes:
    assert item.media is not None
    return item.media.read()


def _renamed(value: Any, **names: str) -> Any:
    sample = _mapped(names, _item(json.dumps(value).encode()))
    assert sample.notes == ()
    return json.loads(_data(sample.items[0]))


def test_names_change_and_values_and_order_stay() -> None:
    found = _renamed({"a": 1.5, "url": "x", "b": [None, {"url": 2}]}, url="source_url")
    assert list(found.items()) == [("a", 1.5), ("source_url", "x"), ("b", [None, {"url": 2}])]


def test_a_path_renames_inside_an_object() -> None:
    names = {"exif.Make": "maker", "exif": "camera", "exif.gps.lat": "latitude", "a.b": "c"}
    found = _renamed({"exif": {"Make": "X", "gps": {"lat": 1}}, "Make": 2, "a": 3}, **names)
    assert found == {"camera": {"maker": "X", "gps": {"latitude": 1}}, "Make": 2, "a": 3}


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5))
def test_exchanging_two_names_twice_gives_what_there_was(value: dict[str, Any]) -> None:
    names = {"a": "b", "b": "a"}
    assert _renamed(_renamed(value, **names), **names) == value


def test_text_in_hand_and_fields_change_too() -> None:
    both = Item("metadata", name="json", text='{"a": 1}', media=Media(data=b'{"a": 1}'))
    sample = _mapped({"a": "b"}, both, Item("metadata", fields={"a": 2}), a=3, c=4)
    assert (sample.items[0].text, _data(sample.items[0])) == ('{"b": 1}', b'{"b": 1}')
    assert (sample.items[1].fields, sample.fields) == ({"b": 2}, {"b": 3, "c": 4})


@pytest.mark.parametrize(
    "data", [b'{"x":\n 1.10}', b"[1, 2]", b"7", b'"a"', b"null", b'\xef\xbb\xbf{"x": 1}', b'{"b": {"a": 1}}']
)
def test_what_has_none_of_the_names_keeps_its_bytes(data: bytes) -> None:
    item = _item(data)
    sample = _mapped({"a": "c"}, item, Item("text", text='{"a": 1}'), x=1)
    assert sample.items[0] is item
    assert sample.notes == ()


def test_text_of_any_script_and_half_a_surrogate_pair_stay() -> None:
    sample = _mapped({"a": "b"}, _item('{"a": "猫 é"}'.encode()), _item(b'{"a": "\\ud800"}'))
    assert _data(sample.items[0]) == '{"b": "猫 é"}'.encode()
    assert json.loads(_data(sample.items[1])) == {"b": "\ud800"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a": 1, "b": 2}', "name taken"),
        (b'{"b": 1, "a": 2}', "name taken"),
        (b'{"a": 1, "a2": 2}', "name taken"),
        (b"{", "metadata not readable"),
        (b"", "metadata not readable"),
        (b"[" * 100_000, "metadata not readable"),
        (b"\xff\xfe\xfa", "metadata not readable"),
    ],
)
def test_what_cannot_be_renamed_for_certain_fails_the_sample(data: bytes, reason: str) -> None:
    sample = _mapped({"a": "b", "a2": "b"}, _item(data))
    assert [(n.kind, n.reason) for n in sample.notes] == [("error", f"sample_rename_metadata: {reason}")]


def test_a_large_document_is_renamed(tmp_path: Path) -> None:
    value = {"a": 1} | {f"k{n}": "x" * 100 for n in range(20_000)}
    assert _renamed(value, a="b") == {"b": 1} | {k: v for k, v in value.items() if k != "a"}


@pytest.mark.parametrize("names", [{}, {"a": ""}, {"a": 1}, None])
def test_names_that_are_none_are_refused_before_any_work(names: Any) -> None:
    with pytest.raises(PlanError):
        registry().bind("sample_rename_metadata", {"names": names})


RENAME = "  - map: {sample_rename_metadata: {names: {url: source_url}}}\n"


@pytest.mark.parametrize("steps", [RENAME, RENAME + "  - keep: text_length >= 1\n"])
def test_whole_runs_write_the_new_names_whether_before_or_after_the_rules(tmp_path: Path, steps: str) -> None:
    (tmp_path / "in").mkdir()
    for key, data in (("good", '{"url": 1, "é": 2}'), ("bad", "{"), ("taken", '{"url": 1, "source_url": 2}')):
        (tmp_path / "in" / f"{key}.json").write_text(data)
        (tmp_path / "in" / f"{key}.txt").write_text("words")
    text = f"source: in\nsteps:\n{steps}write: {{path: out, format: folder, parquet: false}}\n"
    summary = run(
        loads(text, source=str(tmp_path / "in")), workers=0, quiet=True, output=str(tmp_path / "out")
    )
    assert (summary["read"], summary["kept"], summary["failed"]) == (3, 1, 2)
    (written,) = (p for p in (tmp_path / "out").rglob("good*.json"))
    assert json.loads(written.read_bytes()) == {"source_url": 1, "é": 2}


@pytest.mark.parametrize("steps", [RENAME, RENAME + "  - keep: text_length >= 1\n"])
def test_columns_of_tables_get_the_new_names(tmp_path: Path, steps: str) -> None:
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": ["a", "b"], "url": ["x", "y"]}), tmp_path / "in" / "a.parquet")
    text = f"source: in\nsteps:\n{steps}write: {{path: out, format: parquet}}\n"
    summary = run(
        loads(text, source=str(tmp_path / "in")), workers=0, quiet=True, output=str(tmp_path / "out")
    )
    assert summary["kept"] == 2
    (written,) = (tmp_path / "out").glob("00000*.parquet")
    assert pq.read_table(written).column("source_url").to_pylist() == ["x", "y"]
