"""Reads a recipe from a file, a URL, a text or by the name of a ready one, with changes made on the way."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sluice.errors import RecipeError
from sluice.recipe.build import build_recipe
from sluice.recipe.nearest import did_you_mean
from sluice.recipe.overrides import override, set_value
from sluice.recipe.ready import ready_recipes
from sluice.recipe.recipe import Recipe
from sluice.recipe.yaml_text import read_yaml


def load(
    recipe: str | os.PathLike[str],
    overrides: Iterable[str] = (),
    *,
    source: str | None = None,
    output: str | None = None,
) -> Recipe:
    """The recipe in a file or at a URL, or the ready one of that name.

    `overrides` are `field.path=value` with values in YAML (`write.shard_size=500MB`, `steps.0.keep.rule=…`;
    steps count from 0); `source` and `output` set `source.path` and `write.path`. `RecipeError` lists
    everything that is wrong, with file and line.
    """
    text, file = read_text(os.fspath(recipe))
    return loads(text, overrides, source=source, output=output, file=file)


def loads(
    text: str,
    overrides: Iterable[str] = (),
    *,
    source: str | None = None,
    output: str | None = None,
    file: str = "recipe",
) -> Recipe:
    """As `load`, from the YAML itself; `file` names it in errors."""
    document = read_yaml(text, file)
    if isinstance(document.data, dict) or document.data is None:
        for setting in overrides:
            override(document, setting)
        for path, value, option in (("source", source, "--source"), ("write", output, "--output")):
            if value is not None:
                set_value(document, (path, "path"), value, f"{option} {value}")
    return build_recipe(document)


def read_text(name: str) -> tuple[str, str]:
    """The text of a file, of a URL or of the ready recipe of that name, and what errors call it."""
    if "://" in name:
        from sluice.storage import Location  # remote recipes are rare; its import is not for everyone

        return _decoded(Location(name).read(), name), name
    path = Path(name).expanduser()
    if not path.is_file():
        ready = ready_recipes()
        if name in ready:
            path = ready[name]
        elif path.is_dir():
            raise RecipeError("this is a folder, not a recipe", where=name, fix="name the .yaml file in it")
        else:
            raise _missing(name, ready)
    try:
        return _decoded(path.read_bytes(), str(path)), str(path)
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _decoded(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        fix = "save the recipe as UTF-8"
        raise RecipeError("this is not UTF-8 text", where=f"{file}:{line}", fix=fix) from None


def _missing(name: str, ready: dict[str, Path]) -> RecipeError:
    if Path(name).suffix or os.sep in name:
        folder = Path(name).expanduser().parent
        beside = [each.name for each in sorted(folder.glob("*.y*ml"))] if folder.is_dir() else []
        fix = "check the path, or begin with one of ours: sluice init"
        if beside:
            fix = did_you_mean(Path(name).name, beside, "recipes in that folder")
        return RecipeError("there is no such file", where=name, fix=fix)
    fix = did_you_mean(name, ready, "ready recipes")
    return RecipeError(f"there is no file and no ready recipe `{name}`", fix=fix)
