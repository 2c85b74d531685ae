"""Operators are found by name, ours and anyone's; what is misspelt is answered with the nearest name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from declared_operators import registered, text_letters

from sluice.errors import PlanError, UsageError
from sluice.operator import Field, Registry, measure, registry

KNOWN = registered()


def test_a_misspelt_operator_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"there is no operator 'text_leters'\n  → did you mean 'text_letters'\?"
    ):
        KNOWN.get("text_leters")
    with pytest.raises(UsageError, match="`sluice ops` lists all operators"):
        KNOWN.get("zzz")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alos_y": True}, r"text_vowels: setting 'alos_y': unknown setting\n  → did you mean 'also_y'\?"),
        ({"zzz": 1}, r"text_vowels: setting 'zzz': unknown setting\n  → settings: also_y"),
        ({"also_y": "often"}, r"text_vowels: setting 'also_y': Input should be a valid boolean"),
    ],
)
def test_wrong_settings_name_the_operator_and_the_setting(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        KNOWN.bind("text_vowels", settings)


def test_settings_for_a_need_must_name_one() -> None:
    with pytest.raises(PlanError, match=r"text_vowels does not use 'clip'\n  → `with:` may name: letters"):
        KNOWN.bind("text_vowels", with_={"clip": {}})


def _named(name: str, function: Any, **options: Any) -> Any:
    function.__name__ = name
    return measure(version=1, cost="header", **options)(function).spec


def test_what_nothing_provides_is_said_with_the_nearest() -> None:
    def needs(leters: Any) -> Annotated[float, Field(unit="x")]:
        return 0.0

    known = registered()
    known.add(_named("text_needs", needs))
    with pytest.raises(
        PlanError, match=r"needs 'leters', which nothing provides in scope 'text'\n  → did you mean 'letters'"
    ):
        known.bind("text_needs")


def test_an_item_cannot_take_what_belongs_to_another_scope() -> None:
    def wants(text_letters: int) -> Annotated[float, Field(unit="x")]:
        return 0.0

    known = registered()
    known.add(_named("image_wants", wants))
    with pytest.raises(PlanError, match=r"sees one image at a time and cannot take 'text_letters'"):
        known.bind("image_wants")


def test_operators_that_need_each_other_are_refused() -> None:
    def one(text_two: float) -> Annotated[float, Field(unit="x")]:
        return 0.0

    def two(text_one: float) -> Annotated[float, Field(unit="x")]:
        return 0.0

    known = Registry([_named("text_one", one), _named("text_two", two)])
    with pytest.raises(PlanError, match="in a circle: text_one → text_two → text_one"):
        known.bind("text_one")


def test_two_of_one_name_are_refused_and_the_same_twice_is_fine() -> None:
    def other(text: str) -> Annotated[int, Field(unit="letters")]:
        return 0

    known = registered()
    known.add(text_letters.spec)
    with pytest.raises(
        UsageError,
        match="'text_letters' is declared twice: in declared_operators and in test_operator_registry",
    ):
        known.add(_named("text_letters", other))


def test_ours_come_through_the_entry_points_like_anyones() -> None:
    assert {spec.origin for spec in registry() if spec.module.startswith("sluice.")} == {"sluice"}
    assert "image_width_px" in registry()


PLUGIN = '''"""How many exclamation marks?"""

from typing import Annotated

from sluice.operator import Field, measure


@measure(version=1, cost="header")
def text_exclamations(text: str) -> Annotated[int, Field(unit="marks", ge=0)]:
    """The exclamation marks of the text."""
    return text.count("!")
'''


def _install(folder: Path, name: str, module: str, code: str) -> None:
    """A distribution as pip would leave it: a module and the metadata that names its entry point."""
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[sluice.operators]\n{module} = {module}\n")


def _python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


def test_a_third_partys_package_brings_an_operator(tmp_path: Path) -> None:
    _install(tmp_path, "marks", "marks_operators", PLUGIN)
    done = _python(
        tmp_path,
        "from sluice.operator import Program, registry\n"
        "from sluice.sample import Item, Sample\n"
        "spec = registry().get('text_exclamations')\n"
        "sample = Sample(id='a', key='a', items=(Item('text', text='Oh! No!'),))\n"
        "print(spec.origin, Program([registry().bind(spec.name)])([sample]).columns)",
    )
    assert done.stdout == "marks {'text_exclamations': [[2]]}\n", done.stderr


def test_a_package_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    _install(tmp_path, "broken", "broken_operators", "import a_module_that_nobody_has\n")
    done = _python(tmp_path, "from sluice.operator import registry\nregistry()")
    assert "MissingError: entry point 'broken_operators' = 'broken_operators'" in done.stderr
    assert (
        "the operators of 'broken' cannot be loaded: No module named 'a_module_that_nobody_has'"
        in done.stderr
    )
    assert "pip uninstall broken" in done.stderr


def test_two_packages_with_one_name_are_named(tmp_path: Path) -> None:
    _install(tmp_path, "marks", "marks_operators", PLUGIN)
    _install(tmp_path, "more", "more_operators", PLUGIN)
    done = _python(tmp_path, "from sluice.operator import registry\nregistry()")
    assert "'text_exclamations' is declared twice: in marks_operators and in more_operators" in done.stderr
    assert "uninstall the package that brings it" in done.stderr
