"""The recipe as JSON Schema, so that editors complete and check it while it is being written."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from sluice.recipe.recipe import Recipe, Source, Write
from sluice.recipe.steps import STEP_KINDS, OperatorRef, Step

Schema = dict[str, Any]


def recipe_schema(operators: Mapping[str, Mapping[str, Any]]) -> Schema:
    """JSON Schema (2020-12) of recipes.

    `operators` gives the JSON Schema of each operator's settings, by name; each is an object schema with
    `properties`, and may have a `description` and an `x-kind` (`measure`, `mapper`, …), which is passed on.
    """
    schema = Recipe.model_json_schema(by_alias=True)
    definitions: Schema = schema.pop("$defs", {})
    for name in ("Step", "OperatorRef"):
        definitions.pop(name, None)
    for kind in STEP_KINDS.values():
        own = kind.model_json_schema(by_alias=True)
        definitions |= {name: part for name, part in own.pop("$defs", {}).items() if name != "OperatorRef"}
        definitions[kind.key] = _payload(kind, own)
    definitions["operator"] = _operator(operators)
    for located in (Source, Write):
        name = located.__name__
        definitions[name] = {"anyOf": [definitions[name], {"type": "string", "description": "its path"}]}
    schema["properties"]["steps"] = {
        "type": "array",
        "description": "What happens to the samples, in this order.",
        "items": {"oneOf": [_one_key(kind) for kind in STEP_KINDS.values()]},
    }
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sluice recipe",
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": dict(sorted(definitions.items())),
    }
    cleaned: Schema = _without_positions(whole)
    return cleaned


def _one_key(kind: type[Step]) -> Schema:
    return {
        "type": "object",
        "properties": {kind.key: {"$ref": f"#/$defs/{kind.key}"}},
        "required": [kind.key],
        "additionalProperties": False,
    }


def _payload(kind: type[Step], own: Schema) -> Schema:
    """What stands behind a step's word: its mapping, or the bare value that stands for one field."""
    description = inspect.getdoc(kind) or ""
    own = _pointing_at_operator(own)
    if not kind.bare:
        return own | {"description": description}
    bare = own["properties"][kind.bare]
    forms = [{"$ref": "#/$defs/operator"}] if "$ref" in bare.get("items", {}) else []
    whole = {key: value for key, value in own.items() if key not in ("title", "description")}
    return {"description": description, "anyOf": [{**bare, "title": kind.bare}, *forms, whole]}


def _pointing_at_operator(part: Any) -> Any:
    if isinstance(part, dict):
        if part.get("$ref") == f"#/$defs/{OperatorRef.__name__}":
            return {"$ref": "#/$defs/operator"}
        return {key: _pointing_at_operator(value) for key, value in part.items()}
    return [_pointing_at_operator(value) for value in part] if isinstance(part, list) else part


def _operator(operators: Mapping[str, Mapping[str, Any]]) -> Schema:
    """An operator: its name, or its name with settings."""
    reserved = {
        "as": {"type": "string", "description": "The name of its column."},
        "with": {"type": "object", "description": "Settings of what it depends on, by name."},
        "when": {"enum": ["gated", "all"], "description": "`all` measures dropped samples, too."},
        "over": {
            "enum": ["document", "frames"],
            "description": "`document`, of a measure of texts: one value for all texts of a sample. `frames`, of a "
            "measure of images: one value for each video, of some of its frames. Under a name given by `as`.",
        },
    }
    over_frames = {
        "fps": {"type": "number", "description": "Over frames: so many a second."},
        "frames": {"type": "integer", "description": "Over frames: so many, spread evenly over the video."},
        "keyframes": {"type": "boolean", "description": "Over frames: the video's key frames."},
        "reduce": {
            "enum": ["mean", "min", "max", "median", "any", "all"],
            "description": "Over frames: how their values become one.",
        },
    }
    named: Schema = {}
    for name, settings in sorted(operators.items()):
        properties = {**over_frames, **settings.get("properties", {}), **reserved}
        extra = settings.get("additionalProperties", False)
        named[name] = {**settings, "type": "object", "properties": properties, "additionalProperties": extra}
    with_settings = {
        "type": "object",
        "properties": named,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return {"anyOf": [{"enum": sorted(operators)}, with_settings]}


def _without_positions(part: Any) -> Any:
    """Drops what only programs use: the position `at` of a part."""
    if isinstance(part, dict):
        kept = {key: _without_positions(value) for key, value in part.items()}
        if isinstance(kept.get("properties"), dict):
            kept["properties"].pop("at", None)
        return kept
    return [_without_positions(value) for value in part] if isinstance(part, list) else part
