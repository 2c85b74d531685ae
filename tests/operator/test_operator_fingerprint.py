"""A fingerprint changes with whatever can change the value, and with nothing else."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from declared_operators import registered

from sluice.operator import Instance, Registry, instance
from sluice.operator.spec import Spec

KNOWN = registered()
OPERATOR = '''"""How long?"""
from typing import Annotated
from sluice.operator import Field, measure


@measure(version=1, cost="header", libraries=("xxhash",))
def text_long(text: str, *, twice: bool = False) -> Annotated[int, Field(unit="letters")]:
    """The length; `twice` doubles it."""
    return len(text) * (2 if twice else 1)
'''


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Spec]]:
    """Writes a package with the given modules and imports its operator anew."""
    counter = itertools.count()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(code: str, **others: str) -> Spec:
        package = tmp_path / f"fresh{next(counter)}"
        package.mkdir()
        (package / "__init__.py").write_text("")
        for name, text in {**others, "operator_": code}.items():
            (package / f"{name}.py").write_text(text.replace("PACKAGE", package.name))
        importlib.invalidate_caches()
        spec: Spec = importlib.import_module(f"{package.name}.operator_").text_long.spec
        return spec

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("fresh"):
            del sys.modules[name]


def _print(spec: Spec) -> str:
    return Registry([spec]).bind(spec.name).fingerprint


def test_prose_does_not_count(declare: Callable[..., Spec]) -> None:
    prose = OPERATOR.replace("How long?", "How very long?").replace("The length;", "The length of it;")
    prose = prose.replace("    return", "    # why not\n\n    return")
    assert _print(declare(OPERATOR)) == _print(declare(prose))


@pytest.mark.parametrize(
    ("old", "new"),
    [("version=1", "version=2"), ("2 if", "3 if"), ("twice", "doubled"), ('"xxhash"', '"numpy"')],
    ids=["version", "code", "setting", "library"],
)
def test_what_changes_the_value_counts(declare: Callable[..., Spec], old: str, new: str) -> None:
    assert _print(declare(OPERATOR)) != _print(declare(OPERATOR.replace(old, new)))


def test_code_that_it_imports_from_its_own_package_counts(declare: Callable[..., Spec]) -> None:
    code = OPERATOR.replace("import Field, measure", "import Field, measure\nfrom PACKAGE.rule import factor")
    code = code.replace("2 if", "factor() if").replace("PACKAGE.rule", ".rule")
    rule = "from . import deep\ndef factor():\n    return deep.FACTOR\n"
    first = _print(declare(code, rule=rule, deep="FACTOR = 2\n"))
    assert first == _print(declare(code, rule=rule, deep="# two\nFACTOR = 2\n", bystander="x = 1\n"))
    assert first != _print(declare(code, rule=rule, deep="FACTOR = 3\n"))
    assert first != _print(declare(code, rule=rule.replace("return", "return 1 *"), deep="FACTOR = 2\n"))


def test_settings_and_those_of_needs_count_and_names_do_not() -> None:
    plain = KNOWN.bind("text_vowel_share")
    assert plain.fingerprint == KNOWN.bind("text_vowel_share", alias="share").fingerprint
    assert (
        plain.fingerprint
        == KNOWN.bind("text_vowel_share", with_={"text_vowels": {"also_y": False}}).fingerprint
    )
    assert (
        plain.fingerprint
        != KNOWN.bind("text_vowel_share", with_={"text_vowels": {"also_y": True}}).fingerprint
    )
    assert KNOWN.bind("text_vowels").fingerprint != KNOWN.bind("text_vowels", {"also_y": True}).fingerprint


def test_the_version_of_a_library_counts(
    declare: Callable[..., Spec], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = declare(OPERATOR)
    before = _print(spec)
    # No seam: the installed version is a fact of the machine, and reinstalling is not for a test.
    monkeypatch.setattr(instance, "library_version", lambda name: "0.0.1")
    assert _print(spec) != before


def test_an_absent_library_is_no_error() -> None:
    assert instance.library_version("a-distribution-that-nobody-has") == "absent"


def test_an_alias_renames_every_column() -> None:
    renamed: Instance = KNOWN.bind("text_span", alias="caption_span")
    assert [o.name for o in renamed.outputs] == ["caption_span_first", "caption_span_last"]


def test_costs_add_up_to_the_dearest() -> None:
    assert KNOWN.bind("sample_longest").cost == "header"
    assert [i.spec.name for i in KNOWN.bind("text_vowel_share").closure()] == [
        "letters",
        "text_letters",
        "text_vowels",
        "text_vowel_share",
    ]
