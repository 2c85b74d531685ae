"""Builds the `Recipe` that plain data describes, and collects everything that is wrong with it on the way."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from sluice.errors import RecipeError, RuleError
from sluice.recipe.nearest import did_you_mean
from sluice.recipe.problems import field_names, field_path, one_error, problems, unknown_field
from sluice.recipe.recipe import Recipe
from sluice.recipe.steps import STEP_KINDS, Position, Step
from sluice.recipe.yaml_text import Document, Path


def build_recipe(document: Document) -> Recipe:
    """The recipe in `document`; one `RecipeError` that tells everything wrong with it."""
    data = document.data
    if not isinstance(data, dict):
        what = "the recipe is empty" if data is None else "a recipe is a mapping"
        raise RecipeError(what, where=document.where(()), fix="start with `source: {path: photos/}`")
    errors: list[RecipeError] = []
    steps = _steps(document, data.get("steps"), errors)
    known = field_names(Recipe)
    errors += [unknown_field(key, Recipe, document, (key,)) for key in data if key not in known]
    rest = {key: value for key, value in data.items() if key in known and key != "steps"}
    try:
        recipe = Recipe.model_validate({**rest, "steps": steps})
    except ValidationError as error:
        errors += problems(error, Recipe, document, ())
    if errors:
        raise one_error(sorted(errors, key=_line))
    return recipe.replace(at=_position(document, ()))


def _line(error: RecipeError) -> tuple[str, int]:
    file, _, line = error.where.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (error.where, 0)


def _steps(document: Document, data: object, errors: list[RecipeError]) -> list[Step]:
    if data is None:
        return []
    if not isinstance(data, list):
        fix = "start each step with `- `: - keep: image_width_px >= 256"
        errors.append(
            RecipeError("`steps` must be a list", where=document.where(("steps",)), fix=fix, field="steps")
        )
        return []
    found: list[Step] = []
    for number, entry in enumerate(data):
        try:
            found.append(_step(document, entry, ("steps", number), errors))
        except RecipeError as error:
            errors.append(error)
    return found


def _step(document: Document, entry: object, path: Path, errors: list[RecipeError]) -> Step:
    where, field = document.where(path), field_path(path)
    if not isinstance(entry, dict) or not entry:
        fix = f"write one of {', '.join(STEP_KINDS)}, then what it takes: - keep: image_width_px >= 256"
        raise RecipeError(f"`{field}` is not a step", where=where, fix=fix, field=field)
    key = next((key for key in entry if key in STEP_KINDS), next(iter(entry)))
    if key not in STEP_KINDS:
        fix = did_you_mean(key, STEP_KINDS, "steps")
        raise RecipeError(f"there is no step `{key}`", where=where, fix=fix, field=field)
    if len(entry) > 1:
        others = [other for other in entry if other != key]
        if others[0] in STEP_KINDS:
            fix = "start each step with its own `- `"
        else:
            shape = f"{{{STEP_KINDS[key].bare or '…'}: …, {others[0]}: …}}"
            fix = f"indent `{others[0]}` below `{key}`: {key}: {shape}"
        what = f"a step has one key, this one has {', '.join(f'`{name}`' for name in entry)}"
        raise RecipeError(what, where=document.where((*path, others[0])), fix=fix, field=field)
    return _validated(document, STEP_KINDS[key], entry[key], (*path, key), errors)


def _validated(
    document: Document, kind: type[Step], payload: Any, path: Path, errors: list[RecipeError]
) -> Step:
    rules: list[RuleError] = []
    if isinstance(payload, dict) and "at" in payload:
        raise unknown_field("at", kind, document, (*path, "at"))
    try:
        step = kind.model_validate(payload, context={"rules": rules})
    except ValidationError as error:
        found = problems(error, kind, document, path)
    else:
        found = []
    where = document.where((*path, "rule"))
    found += [
        RuleError(error.what, rule=error.rule, position=error.position, where=where, fix=error.fix)
        for error in rules
    ]
    if found:
        errors += found[:-1]
        raise found[-1]
    return step.placed(lambda below: _position(document, path + below))


def _position(document: Document, path: Path) -> Position:
    """The position of the part at `path`; a part that an option set is "in" that option."""
    parts = [key for key in (*document.lines, *document.overridden) if key[:-1] == path and key != path]
    below = {str(key[-1]): document.where(key) for key in parts}
    file, _, line = document.where(path).rpartition(":")
    if not line.isdecimal():
        return Position(document.where(path), 0, below)
    return Position(file, int(line), below)


def build_step(key: str, payload: Any, where: str) -> Step:
    """One step from plain data, for callers other than YAML; `where` says who calls, in errors."""
    errors: list[RecipeError] = []
    # Errors name fields from the step on: `keep.nulls`.
    document = Document({key: payload}, where)
    try:
        return _validated(document, STEP_KINDS[key], payload, (key,), errors)
    except RecipeError as error:
        raise one_error([*errors, error]) from None
