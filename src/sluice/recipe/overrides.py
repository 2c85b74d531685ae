"""Changes parts of a recipe's data before it is checked: `--set steps.1.keep.rule='a >= 5'`."""

from __future__ import annotations

from typing import Any

from sluice.errors import RecipeError
from sluice.recipe.steps import STEP_KINDS
from sluice.recipe.yaml_text import Document, Path, read_yaml


def override(document: Document, setting: str) -> None:
    """Applies `path.of.field=value`, the value read as YAML; steps count from 0, the number after the last adds one.

    `RecipeError` where there is no such part to change.
    """
    name, equals, text = setting.partition("=")
    where = f"--set {setting}"
    if not equals or not name.strip():
        raise RecipeError("this sets nothing", where=where, fix="write it as write.path=curated/")
    # A rule holds characters that YAML gives a meaning to (`: `, `#`, `{`, leading quotes): it is text.
    value = text.strip() if name.strip().endswith(".rule") else read_yaml(text, where).data
    set_value(document, tuple(_part(part) for part in name.strip().split(".")), value, where)


def _part(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def set_value(document: Document, path: Path, value: Any, where: str) -> None:
    """Sets the part at `path`, making mappings on the way; errors about it will say `where`."""
    if document.data is None:
        document.data = {}
    container: Any = document.data
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if last and isinstance(container, list) and part == len(container):
            container.append(value)
            break
        _check_part(container, part, path[: depth + 1], where)
        if last:
            container[part] = value
        else:
            inner = container[int(part)] if isinstance(container, list) else container.get(part)
            if not isinstance(inner, dict | list):
                inner = container[part] = _unfolded(path[: depth + 1], inner, where)
            container = inner
    document.overridden[path] = where
    for old in [key for key in document.lines if key[: len(path)] == path]:
        del document.lines[old]


def _check_part(container: Any, part: str | int, path: Path, where: str) -> None:
    name = ".".join(map(str, path))
    if isinstance(container, list):
        if not isinstance(part, int) or part >= len(container):
            have = f"there are {len(container)}, numbered from 0" if container else "there are none"
            raise RecipeError(f"there is no `{name}`", where=where, fix=have, field=name)
    elif not isinstance(part, str):
        raise RecipeError(f"there is no `{name}`: what is before it is no list", where=where, field=name)


def _unfolded(path: Path, value: Any, where: str) -> dict[str, Any]:
    """A bare value written out as a mapping, so that a field beside it can be set."""
    if value is None:
        return {}
    if path in (("source",), ("write",)):
        return {"path": value}
    if len(path) == 3 and path[0] == "steps" and path[2] in STEP_KINDS and STEP_KINDS[str(path[2])].bare:
        return {STEP_KINDS[str(path[2])].bare: value}
    name = ".".join(map(str, path))
    raise RecipeError(f"`{name}` is {value!r} and has no parts", where=where, field=name)
