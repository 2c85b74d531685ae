"""The generated reference of the sandbox: every hook, trainer, inferencer and evaluator by its declaration."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel

from sluice.sandbox.chosen import Chosen
from sluice.sandbox.registry import Component, Kind, Registry

OURS = "sluice"
INTRO = """# Hooks and components

What a job of an experiment can do ([the sandbox](sandbox.md)): `hook:` names one of the hooks, `settings:` its
settings. A result that a hook takes comes from an earlier job; one in brackets is taken where there is one. Trainers,
inferencers and evaluators are settings of hooks: their name, or `{name: {setting: value}}`.
"""
TITLES: dict[Kind, str] = {
    "hook": "Hooks",
    "trainer": "Trainers",
    "inferencer": "Inferencers",
    "evaluator": "Evaluators",
}
_LIMITS = {"Ge": "≥ {0.ge:g}", "Gt": "> {0.gt:g}", "Le": "≤ {0.le:g}", "Lt": "< {0.lt:g}"}
_PLAIN: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    type(None): "nothing",
    Any: "anything",
}


def page(known: Registry) -> str:
    """The whole page; what others brought to this machine is left out."""
    lines = [INTRO]
    parts: dict[str, type[BaseModel]] = {}
    for kind, title in TITLES.items():
        lines += [f"## {title}", ""]
        for name in known.names(kind):
            component = known.get(kind, name)
            if component.origin == OURS:
                lines += _entry(component)
                parts |= {part.__name__: part for part in _parts(component)}
    lines += ["## Mappings", ""]
    for name in sorted(parts):
        lines += _part(parts[name])
    return "\n".join(lines).rstrip() + "\n"


def _entry(component: Component) -> Iterator[str]:
    yield from (f"### {component.name}", "", component.doc, "")
    if component.kind == "hook":
        takes = [n if needed else f"[{n}]" for n, needed in component.takes.items()]
        yield f"Takes {', '.join(f'`{n}`' for n in takes) or 'nothing'}; gives {_names(component.gives)}."
        yield ""
    settings = list(_settings(component))
    if settings:
        yield from ("| setting | what it may be | default |", "| --- | --- | --- |", *settings, "")


def _hints(component: Component) -> dict[str, Any]:
    target = component.target
    function = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    return typing.get_type_hints(function, include_extras=True)


def _parts(component: Component) -> Iterator[type[BaseModel]]:
    """The mappings with fields of their own among its settings."""
    for name in component.settings.model_fields:
        for hint in (_hints(component)[name], *typing.get_args(_hints(component)[name])):
            if isinstance(hint, type) and issubclass(hint, BaseModel):
                yield hint


def _part(part: type[BaseModel]) -> Iterator[str]:
    yield from (f"### {part.__name__}", "", inspect.getdoc(part) or "", "")
    yield from ("| field | what it may be | default |", "| --- | --- | --- |")
    for name, hint in typing.get_type_hints(part, include_extras=True).items():
        if name in part.model_fields:
            field = part.model_fields[name]
            told = (
                "needed"
                if field.is_required()
                else f"`{_plain(field.get_default(call_default_factory=True))}`"
            )
            yield f"| `{name}` | {_kind(hint, name)} | {told} |"
    yield ""


def _settings(component: Component) -> Iterator[str]:
    hints, target = _hints(component), component.target
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            default = parameter.default
            told = "needed" if default is inspect.Parameter.empty else f"`{_plain(default)}`"
            yield f"| `{name}` | {_kind(hints[name], name)} | {told} |"


def _kind(hint: Any, name: str) -> str:
    """A type as people read it: `whole number ≥ 1 or nothing`."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        limits = [_LIMITS[type(m).__name__].format(m) for part in inner[1:] for m in _limits_of(part)]
        return " ".join([_kind(inner[0], name), " and ".join(limits)]).strip()
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(_kind(each, name) for each in inner)
    if origin in (tuple, list):
        return f"list of {_kind(inner[0], name)}"
    if origin is dict:
        return f"mapping of names to {_kind(inner[1], name)}"
    if hint is Chosen:
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return _PLAIN.get(hint, getattr(hint, "__name__", str(hint)))


def _limits_of(part: Any) -> list[Any]:
    return [each for each in getattr(part, "metadata", ()) if type(each).__name__ in _LIMITS]


def _plain(default: object) -> str:
    if isinstance(default, BaseModel):
        return str(default.model_dump(mode="json"))
    return {"None": "null", "True": "true", "False": "false"}.get(repr(default)) or (
        repr(list(default)) if isinstance(default, tuple) else str(default)
    )


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
