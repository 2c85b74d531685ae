"""The conformance suite finds what it is there to find."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import faulty_operators
import pytest
from declared_operators import registered

from sluice.operator import Field, Instance, Registry, measure, registry
from sluice.operator.check import check, check_spawned, check_together, libraries_declared
from sluice.sample import Item, Media, Sample

FAULTY = Registry(v.spec for v in vars(faulty_operators).values() if hasattr(v, "spec"))
GOOD = registered()
PICTURES = [
    Sample(id=str(k), key=str(k), items=(Item("image", media=Media(data=bytes([k, 200 - k, 3 * k]))),))
    for k in range(1, 5)
]
TEXTS = [Sample(id=t, key=t, items=(Item("text", text=t),)) for t in ("abe", "xyz", "o")]


def _found(name: str) -> str:
    return "\n".join(check(FAULTY.bind(name), PICTURES))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("image_undocumented", "there is no docstring that defines it"),
        ("image_undocumented", "opens with '', not with the question"),
        ("image_undocumented", "setting `size` is not described"),
        ("image_undocumented", "does not say what the value means"),
        ("image_undocumented", "imports scipy but does not declare libraries=('scipy',)"),
        ("image_counting", "lies outside 0 to 3"),
        ("image_counting", "a sample alone differs from it in a batch"),
        ("image_counting", "it changes on the way to another process"),
        ("image_mutating", "changes its input `levels`; copy it first"),
        ("image_mutating", "raised on empty bytes (image_mutating: IndexError"),
        ("image_averaging", "a sample alone differs from it in a batch"),
        ("image_averaging", "bad samples beside it change it"),
    ],
)
def test_faults_are_found(name: str, sentence: str) -> None:
    assert sentence in _found(name)


def test_an_operator_declared_inside_a_function_cannot_travel() -> None:
    def text_local(text: str) -> Annotated[int, Field(unit="letters")]:
        """Length."""
        return len(text)

    spec: Any = measure(version=1, cost="header")(text_local).spec
    found = check(Registry([spec]).bind("text_local"), TEXTS)
    assert any("cannot be pickled" in sentence for sentence in found)


def test_good_ones_pass_but_for_the_question_of_their_module() -> None:
    names = ["text_letters", "text_vowels", "text_span", "text_batched", "text_opened", "sample_longest"]
    for name in names:
        found = check(GOOD.bind(name), TEXTS)
        assert [sentence for sentence in found if "not with the question" not in sentence] == []
    assert check_together([GOOD.bind(name) for name in names], TEXTS) == []


def test_an_operator_that_changes_another_is_found() -> None:
    found = check_together([FAULTY.bind(spec.name) for spec in FAULTY], PICTURES)
    assert any("image_counting: other operators change it" in sentence for sentence in found)


def test_a_spawned_process_that_differs_is_found() -> None:
    assert check_spawned([GOOD.bind("text_letters")], TEXTS) == []
    faulty_operators.COUNT[0] = 100
    (found,) = check_spawned([FAULTY.bind("image_counting")], PICTURES)
    assert "image_counting: a spawned process gives another value" in found


def test_libraries_of_extras_must_be_declared_like_any_other() -> None:
    bound = registry().bind("text_perplexity", {"model": "m", "sentencepiece": "p"})
    assert libraries_declared(bound) == []
    undeclared = Instance(replace(bound.spec, libraries=()), bound.settings, {})
    found = " ".join(libraries_declared(undeclared))
    assert "kenlm" in found
    assert "sentencepiece" in found
