"""Says what is wrong with a recipe in its reader's terms: file and line, field, nearest valid name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sluice.errors import RecipeError
from sluice.recipe.nearest import did_you_mean
from sluice.recipe.steps import Step
from sluice.recipe.yaml_text import Document, Path

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
}
_BOUNDS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}
_BOUND_KEYS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}


def one_error(errors: Sequence[RecipeError], what: str = "recipe") -> RecipeError:
    """The error itself where there is one; else one that lists them all."""
    if len(errors) == 1:
        return errors[0]
    return RecipeError(f"{len(errors)} things are wrong in the {what}:\n" + "\n".join(map(str, errors)))


def problems(
    error: ValidationError, kind: type[BaseModel], document: Document, prefix: Path
) -> list[RecipeError]:
    """One `RecipeError` for each thing that pydantic found wrong with the part of `document` at `prefix`."""
    found = error.errors(include_url=False)
    # A list whose entries are all wrong also counts as empty; that would be told twice.
    partly = {details["loc"][:length] for details in found for length in range(len(details["loc"]))}
    told = [each for each in found if each["type"] != "too_short" or each["loc"] not in partly]
    return [_problem(details, kind, document, prefix) for details in told]


def field_path(path: Sequence[str | int]) -> str:
    """`steps.1.keep.rule`, as `--set` takes it."""
    return ".".join(str(part) for part in path)


def field_names(kind: type[BaseModel]) -> tuple[str, ...]:
    """The names by which a recipe may give the fields of a part."""
    fields = kind.model_fields.items()
    return tuple(field.alias or name for name, field in fields if not field.exclude)


def unknown_field(name: str, kind: type[BaseModel], document: Document, path: Path) -> RecipeError:
    """There is no field `name` in this part."""
    fix = did_you_mean(name, field_names(kind), "fields")
    what = f"there is no field `{field_path(path)}`"
    return RecipeError(what, where=document.where(path), fix=fix, field=field_path(path))


def _problem(details: ErrorDetails, kind: type[BaseModel], document: Document, prefix: Path) -> RecipeError:
    location = tuple(details["loc"])
    path = prefix + location
    if issubclass(kind, Step) and kind.bare and location[:1] == (kind.bare,) and path not in document.lines:
        path = prefix + location[1:]
    if details["type"] == "extra_forbidden":
        return unknown_field(str(location[-1]), _model_at(kind, location[:-1]), document, path)
    what, fix = _words(details, field_path(path))
    return RecipeError(what, where=document.where(path), fix=fix, field=field_path(path))


def _words(details: ErrorDetails, name: str) -> tuple[str, str]:
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "sluice":
        return f"`{name}`: {context['what']}", context["fix"]
    if kind == "missing":
        return f"`{name}` is missing", ""
    if kind == "literal_error":
        return _not_one_of(name, given, context)
    if kind in _BOUNDS:
        return f"`{name}` must be {_BOUNDS[kind]} {context[_BOUND_KEYS[kind]]:g}, not {_shown(given)}", ""
    if kind in ("string_too_short", "too_short"):
        return f"`{name}` must not be empty", ""
    if kind in _EXPECTED:
        return f"`{name}` must be {_EXPECTED[kind]}, not {_shown(given)}", ""
    return f"`{name}`: {details['msg'][:1].lower()}{details['msg'][1:]}, not {_shown(given)}", ""


def _not_one_of(name: str, given: object, context: Mapping[str, Any]) -> tuple[str, str]:
    known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
    what = f"`{name}` cannot be {_shown(given)}; it is one of {', '.join(known)}"
    fix = did_you_mean(str(given), known)
    return what, fix if fix.startswith("did you mean") else ""


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _model_at(kind: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel]:
    """The part that a path leads to from `kind`, through its fields' annotations."""
    for name in location:
        if not isinstance(name, str):
            continue
        by_name = {field.alias or key: field for key, field in kind.model_fields.items()}
        inner = _models_in(by_name[name].annotation) if name in by_name else []
        kind = inner[0] if inner else kind
    return kind


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
