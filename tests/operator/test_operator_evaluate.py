"""Evaluation: features are shared and freed, trouble becomes notes, batches and order do not matter."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import declared_operators
import numpy as np
import pytest
from declared_operators import CALLS, registered
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import PlanError
from sluice.operator import Field, Measured, Program, Registry, feature, measure
from sluice.sample import Item, Media, Note, Sample

KNOWN = registered()


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def _texts(*texts: str) -> Sample:
    return Sample(id=repr(texts), key=repr(texts), items=tuple(Item("text", text=text) for text in texts))


def _measured(names: str | Sequence[str], *samples: Sample) -> Measured:
    names = names.split() if isinstance(names, str) else names
    return Program([KNOWN.bind(name) for name in names])(samples)


def _only_note(measured: Measured) -> Note:
    ((note,),) = measured.notes
    return note


def test_a_feature_is_computed_once_an_item_for_all_that_need_it() -> None:
    measured = _measured("text_letters text_vowels text_vowel_share", _texts("abe", "xyz"), _texts("o"))
    assert CALLS == {"letters": 3, "text_letters": 3, "text_vowels": 3}
    assert measured.columns == {
        "text_letters": [[3, 3], [1]],
        "text_vowels": [[2, 0], [1]],
        "text_vowel_share": [[2 / 3, 0.0], [1.0]],
    }
    assert measured.notes == [[], []]


def test_needed_measures_that_nobody_asked_for_are_not_columns() -> None:
    assert list(_measured("text_vowel_share", _texts("abe")).columns) == ["text_vowel_share"]


def test_a_measure_under_two_names_is_computed_once() -> None:
    again = KNOWN.bind("text_letters", alias="text_size")
    measured = Program([KNOWN.bind("text_letters"), again, KNOWN.bind("text_vowel_share")])([_texts("abe")])
    assert measured.columns["text_size"] == measured.columns["text_letters"] == [[3]]
    assert CALLS["text_letters"] == 1


def test_settings_of_a_need_do_not_leak_into_the_column_of_its_name() -> None:
    plain = KNOWN.bind("text_vowels")
    share = KNOWN.bind("text_vowel_share", with_={"text_vowels": {"also_y": True}})
    measured = Program([plain, share])([_texts("yo")])
    assert measured.columns == {"text_vowels": [[1]], "text_vowel_share": [[1.0]]}


def test_two_measures_of_one_column_are_refused() -> None:
    with pytest.raises(PlanError, match=r"two operators would both make the column 'text_vowels'\n.*`as:`"):
        Program([KNOWN.bind("text_vowels"), KNOWN.bind("text_vowels", {"also_y": True})])


@pytest.mark.parametrize(
    ("text", "kind", "reason", "operator"),
    [
        ("", "declined", "no letters", "letters"),
        ("unreadable", "unreadable", "garbled", "letters"),
    ],
)
def test_trouble_of_a_feature_is_noted_once_and_stands_for_all(
    text: str, kind: str, reason: str, operator: str
) -> None:
    measured = _measured("text_letters text_vowels", _texts(text))
    assert measured.columns == {"text_letters": [[None]], "text_vowels": [[None]]}
    note = _only_note(measured)
    assert (note.kind, note.reason, note.operator, note.item) == (kind, reason, operator, 0)


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("raise", "error", "text_odd: RuntimeError"),
        ("memory", "crash", "text_odd: out of memory"),
        ("nan", "declined", "not a number"),
        ("inf", "declined", "not a number"),
        ("none", "declined", "no value"),
        ("text", "error", "text_odd: TypeError"),
        ("bool", "error", "text_odd: TypeError"),
    ],
)
def test_whatever_an_operator_does_one_sample_pays(text: str, kind: str, reason: str) -> None:
    measured = _measured("text_odd", _texts("fine"), _texts(text), _texts("fine"))
    assert measured.columns["text_odd"] == [[1.0], [None], [1.0]]
    assert [len(notes) for notes in measured.notes] == [0, 1, 0]
    assert (measured.notes[1][0].kind, measured.notes[1][0].reason) == (kind, reason)


def test_values_arrive_as_their_column_takes_them() -> None:
    values = _measured("text_odd", _texts("int"), _texts("numpy")).columns["text_odd"]
    assert values == [[3.0], [0.5]]
    assert [type(v) for (v,) in values] == [float, float]


def test_an_item_without_bytes_and_a_file_that_is_gone_are_unreadable(tmp_path: Path) -> None:
    gone = Item("image", media=Media(uri=str(tmp_path / "gone.jpg"), size=4))
    for item, reason in ((Item("image"), "no bytes"), (gone, "bytes not readable")):
        measured = _measured("image_view", Sample(id="i", key="i", items=(item,)))
        assert measured.columns["image_view"] == [[None]]
        assert (_only_note(measured).kind, _only_note(measured).reason) == ("unreadable", reason)


def test_text_is_read_through_the_view_and_hashed() -> None:
    with_mark = Item("text", media=Media(data=b"\xef\xbb\xbfabe"))
    broken = Item("text", media=Media(data=b"\xff"))
    measured = _measured("text_letters", Sample(id="i", key="i", items=(with_mark, Item("image"), broken)))
    assert measured.columns["text_letters"] == [[3, None]]
    assert [(n.reason, n.item) for n in measured.notes[0]] == [("not UTF-8", 2)]
    assert sorted(measured.hashes[0]) == [0, 2]


def test_fields_of_a_many_valued_measure_are_null_one_by_one() -> None:
    measured = _measured("text_span", _texts("ab", "a-"), _texts(""))
    assert measured.columns == {
        "text_span_first": [[1.0, 1.0], [None]],
        "text_span_last": [[2.0, None], [None]],
    }
    assert [(n.reason, n.detail) for n in measured.notes[0]] == [("not a number", "text_span_last")]


def test_a_sample_level_measure_takes_the_lists_of_item_level_ones() -> None:
    measured = _measured("sample_longest sample_widest", _texts("ab", "", "abe"), _texts(), _texts("a-"))
    assert measured.columns == {"sample_longest": [3, 0, 2], "sample_widest": [4.0, 0.0, 0.0]}


def test_a_failing_batch_is_retried_item_by_item() -> None:
    measured = _measured("text_batched", _texts("ab", "z"), _texts("", "abc"))
    assert measured.columns["text_batched"] == [[2, None], [None, 3]]
    assert [[n.reason for n in notes] for notes in measured.notes] == [
        ["text_batched: ValueError"],
        ["no letters"],
    ]
    assert CALLS["text_batched of 3"] == 1
    assert CALLS["text_batched of 1"] == 3


def test_the_beat_names_the_row_and_step_under_way_and_rests_afterwards() -> None:
    seen: list[tuple[int, str]] = []
    program = Program([KNOWN.bind("text_batched"), KNOWN.bind("text_vowels")]).open()
    beat = [7, 7, 7]
    for step in program.steps:
        step.call = _telling(step.call, lambda: seen.append((beat[0], program.step_names[beat[1]])))
    program([_texts("ab"), _texts("z")], rows=[40, 50], beat=beat)
    assert {row for row, name in seen if name == "text_vowels"} == {40, 50}
    assert [row for row, name in seen if name == "text_batched"] == [-3, 40, 50]  # of two at once
    assert beat[0] == -1


def _telling(call: Any, tell: Any) -> Any:
    def telling(*inputs: Any, **settings: Any) -> Any:
        tell()
        return call(*inputs, **settings)

    return telling


def test_classes_are_opened_once_and_with_their_settings() -> None:
    program = Program([KNOWN.bind("text_opened", {"add": 5})])
    assert program([_texts("ab")]).columns["text_opened"] == [[7]]
    assert program([_texts("")]).columns["text_opened"] == [[5]]
    assert CALLS["open"] == 1


def test_time_is_booked_by_operator_and_call() -> None:
    program = Program([KNOWN.bind("text_letters")])
    for _ in range(2):
        seconds = program([_texts("ab")]).seconds
        assert set(seconds) == {"letters", "text_letters"}
        assert all(0 <= s < 1 for s in seconds.values())


ALIVE: list[Any] = []
MOST_ALIVE: list[int] = []


class _Pixels:
    """Something large that a weak reference can watch."""


@feature(scope="image", version=1, cost="decode")
def pixels(encoded: bytes) -> _Pixels:
    """Pixels that are counted while they live."""
    made = _Pixels()
    ALIVE.append(weakref.ref(made))
    MOST_ALIVE.append(sum(ref() is not None for ref in ALIVE))
    return made


@measure(version=1, cost="decode")
def image_seen(pixels: _Pixels) -> Annotated[int, Field(unit="pictures")]:
    """One."""
    return 1


def test_features_of_one_item_are_gone_before_those_of_the_next_are_made() -> None:
    items = tuple(Item("image", media=Media(data=b"x")) for _ in range(5))
    program = Program([Registry([pixels.spec, image_seen.spec]).bind("image_seen")])
    assert program([Sample(id="i", key="i", items=items)]).columns["image_seen"] == [[1] * 5]
    assert max(MOST_ALIVE) == 1


@given(st.lists(st.lists(st.sampled_from(["", "ab", "z", "-", "nan", "raise"]), max_size=3), max_size=6))
def test_a_sample_alone_and_in_a_batch_gives_the_same(batches: list[list[str]]) -> None:
    instances = [KNOWN.bind(spec.name) for spec in KNOWN if spec.scope != "image"]
    samples = [_texts(*texts) for texts in batches]
    together = Program(instances)(samples)
    for k, sample in enumerate(samples):
        alone = Program(instances)([sample])
        assert {n: v[0] for n, v in alone.columns.items()} == {n: v[k] for n, v in together.columns.items()}
        assert sorted(map(repr, alone.notes[0])) == sorted(map(repr, together.notes[k]))


def test_no_samples_make_empty_columns() -> None:
    measured = _measured("text_letters text_span")
    assert measured.columns == {"text_letters": [], "text_span_first": [], "text_span_last": []}


@pytest.mark.parametrize(
    ("field", "kind", "value", "stored"),
    [
        (Field(bits=64), int, 2**64 - 1, 2**64 - 1),
        (Field(bits=64), int, -1, "64 bits, 0 or more"),
        (Field(bits=16), bytes, b"ab", b"ab"),
        (Field(bits=16), bytes, b"abc", "declared as 2 bytes"),
        (Field(unit="n"), int, 2**70, "a number of 64 bits"),
        (Field(unit="n"), int, 0.5, "declared as int"),
        (Field(), str, "\ud800", "surrogates not allowed"),
    ],
)
def test_what_cannot_be_stored_is_refused(field: Field, kind: type, value: Any, stored: Any) -> None:
    from sluice.operator.declare import _output
    from sluice.operator.value import storable

    output = _output("text_x", Annotated[kind, field])
    if isinstance(stored, str) and stored != value:
        with pytest.raises((TypeError, ValueError), match=stored):
            storable(value, output)
    else:
        assert storable(value, output) == stored


def test_vectors_are_of_their_size_and_finite() -> None:
    from sluice.errors import Declined
    from sluice.operator.declare import _output
    from sluice.operator.value import storable

    output = _output("image_v", Annotated[np.ndarray, Field(size=2)])
    assert storable([1, 2.5], output).dtype == np.float32
    with pytest.raises(TypeError, match="a vector of 2 numbers"):
        storable([1.0], output)
    with pytest.raises(Declined, match="not a number"):
        storable([1.0, float("nan")], output)


def test_every_operator_of_this_module_pickles() -> None:
    import pickle

    for spec in KNOWN:
        assert pickle.loads(pickle.dumps(spec)) is spec  # noqa: S301 - what was just pickled here
    assert declared_operators.text_letters.spec is KNOWN.get("text_letters")
