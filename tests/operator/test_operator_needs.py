"""Needs that a setting switches off, and batched operators that have no value for some of their items."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest

from sluice.errors import Declined, UnreadableError
from sluice.operator import Field, Instance, Program, Registry, feature, measure
from sluice.operator.page import markdown
from sluice.operator.spec import Inherited, When
from sluice.sample import Item, Sample

CALLED: list[str] = []


@feature(scope="text", version=1, cost="header")
def quickly(text: str) -> int:
    """A rough length."""
    CALLED.append("quickly")
    return len(text) // 10 * 10


@feature(scope="text", version=1, cost="model")
def slowly(text: str, *, unit: Annotated[int, Inherited()]) -> int:
    """The exact length in units; `unit` is one."""
    CALLED.append("slowly")
    return len(text) // unit


@measure(version=1, cost="header")
def text_size(
    quickly: Annotated[int | None, When("backend", "rough")],
    slowly: Annotated[int | None, When("backend", "exact")],
    *,
    backend: Literal["rough", "exact"] = "rough",
    unit: int = 1,
) -> Annotated[int, Field(unit="letters")]:
    """The length by one of two ways; `backend` says which, `unit` is for the second."""
    size = slowly if quickly is None else quickly
    assert size is not None
    return size


@feature(scope="text", version=1, cost="header", batched=True)
def halves(text: list[str]) -> list[int | Declined | UnreadableError]:
    """Half the length; none of odd lengths, and no text may be empty."""
    CALLED.append(f"halves of {len(text)}")
    return [
        UnreadableError("empty")
        if not t
        else Declined("odd", f"{len(t)} letters")
        if len(t) % 2
        else len(t) // 2
        for t in text
    ]


@measure(version=1, cost="header")
def text_half(halves: int) -> Annotated[int, Field(unit="letters")]:
    """The feature, as it is."""
    return halves


@measure(version=1, cost="header")
def text_half_too(text: list[str]) -> list[Annotated[int | None, Field(unit="letters")]]:
    """The same, by a measure on batches."""
    return [Declined("odd") if len(t) % 2 else len(t) // 2 for t in text]  # type: ignore[misc]


KNOWN = Registry(v.spec for v in list(globals().values()) if hasattr(v, "spec"))


def _samples(*texts: str) -> list[Sample]:
    return [Sample(id=t, key=t, items=(Item("text", text=t),)) for t in texts]


def _value(instance: Instance) -> int:
    CALLED.clear()
    ((value,),) = Program([instance])(_samples("thirteen word")).columns["text_size"]
    return int(value)


def test_only_the_need_of_the_backend_is_computed() -> None:
    assert _value(KNOWN.bind("text_size")) == 10
    assert CALLED == ["quickly"]
    assert _value(KNOWN.bind("text_size", {"backend": "exact", "unit": 2})) == 6
    assert CALLED == ["slowly"]


def test_only_the_need_of_the_backend_counts() -> None:
    rough, exact = (KNOWN.bind("text_size", {"backend": backend}) for backend in ("rough", "exact"))
    assert (rough.cost, exact.cost) == ("header", "model")
    assert rough.fingerprint != exact.fingerprint
    assert [i.spec.name for i in rough.closure()] == ["quickly", "text_size"]


def test_both_backends_run_side_by_side() -> None:
    rough = KNOWN.bind("text_size", alias="text_rough")
    exact = KNOWN.bind("text_size", {"backend": "exact"}, alias="text_exact")
    columns = Program([rough, exact])(_samples("thirteen word", "")).columns
    assert columns == {"text_rough": [[10], [0]], "text_exact": [[13], [0]]}


def test_the_page_says_when_a_need_is_met() -> None:
    page = markdown(KNOWN.get("text_size"), KNOWN)
    assert "A rough length. (only with `backend: rough`)" in page


def test_a_batch_says_for_each_item_why_it_has_no_value() -> None:
    CALLED.clear()
    measured = Program([KNOWN.bind("text_half")])(_samples("four", "odd", "", "in"))
    assert measured.columns["text_half"] == [[2], [None], [None], [1]]
    assert [[(n.kind, n.reason, n.operator) for n in notes] for notes in measured.notes] == [
        [],
        [("declined", "odd", "halves")],
        [("unreadable", "empty", "halves")],
        [],
    ]
    assert CALLED == ["halves of 4"]  # nothing was computed again


@pytest.mark.parametrize("texts", [("odd",), ("four", "odd", "in")])
def test_a_measure_on_batches_declines_single_items_too(texts: tuple[str, ...]) -> None:
    measured = Program([KNOWN.bind("text_half_too")])(_samples(*texts))
    at = texts.index("odd")
    assert [value for (value,) in measured.columns["text_half_too"]] == [
        None if k == at else len(t) // 2 for k, t in enumerate(texts)
    ]
    assert [n.reason for n in measured.notes[at]] == ["odd"]
