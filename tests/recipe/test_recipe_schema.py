"""The editors' schema accepts what the loader accepts, and knows every operator's settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from test_recipe_load import FULL

from sluice.errors import RecipeError
from sluice.recipe import STEP_KINDS, load, loads
from sluice.recipe.ready import ready_recipes
from sluice.recipe.schema import recipe_schema
from sluice.recipe.yaml_text import read_yaml

OPERATORS: dict[str, dict[str, Any]] = {
    "image_sharpness": {
        "description": "How sharp is an image?",
        "properties": {"channels": {"enum": ["luma", "rgb"]}},
    },
    "image_text_similarity": {"properties": {"model": {"type": "string"}}},
}
SCHEMA = recipe_schema(OPERATORS)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_it_is_a_schema_and_plain_json() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert '"at"' not in json.dumps(SCHEMA)
    assert set(STEP_KINDS) <= set(SCHEMA["$defs"])


def _accepts(validator: jsonschema.Draft202012Validator, text: str) -> None:
    validator.validate(read_yaml(text).data)
    recipe = loads(text)
    validator.validate(recipe.to_data())
    validator.validate(recipe.to_data(full=True))


def test_it_accepts_a_recipe_of_every_kind_of_step() -> None:
    _accepts(VALIDATOR, FULL)


@pytest.mark.parametrize("name", sorted(ready_recipes()))
def test_the_published_schema_accepts_the_ready_recipes(name: str) -> None:
    published = Path(__file__).parents[2] / "docs" / "recipe-schema.json"
    validator = jsonschema.Draft202012Validator(json.loads(published.read_text(encoding="utf-8")))
    _accepts(validator, ready_recipes()[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "source: x\nsteps: [{kep: a > 1}]",
        "source: x\nsteps: [{keep: {rule: a > 1, nulls: maybe}}]",
        "source: x\nsteps: [{sample: {fraction: 2}}]",
        "source: {path: x, formt: y}",
        "steps: []",
        "source: x\nwrite: {path: y, embeddings: float8}",
    ],
)
def test_it_refuses_what_the_loader_refuses(text: str) -> None:
    assert not VALIDATOR.is_valid(read_yaml(text).data)
    with pytest.raises(RecipeError):
        loads(text)


@pytest.mark.parametrize(
    ("operator", "sound"),
    [
        ("image_sharpness", True),
        ({"image_sharpness": {"channels": "rgb", "as": "s", "when": "all"}}, True),
        ({"image_sharpness": {"channels": "cmyk"}}, False),
        ({"image_sharpness": {"chanels": "rgb"}}, False),
        ("image_sharpnes", False),
    ],
)
def test_it_knows_operators_and_their_settings(operator: object, sound: bool) -> None:
    for steps in ([{"measure": [operator]}], [{"measure": operator}]):
        assert VALIDATOR.is_valid({"source": "x", "steps": steps}) == sound


def test_ready_recipes_are_found_by_the_loader() -> None:
    assert load("images").title == "images"
