"""Which models an operator leans on, and all of them that its scores depend on: for the lock, columns and plans."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from sluice.errors import MissingError
from sluice.model.cards import cards
from sluice.model.device import dtype_of
from sluice.model.files import Model, find, places
from sluice.operator import Instance
from sluice.operator.instance import ABSENT

_KEPT = (
    "size",
    "crop_size",
    "resample",
    "image_mean",
    "image_std",
    "rescale_factor",
    "do_resize",
    "do_center_crop",
    "do_rescale",
    "do_normalize",
    "do_convert_rgb",
    "do_pad",
)
"""What of a preprocessor's file changes its pixels."""


def models_of(instance: Instance) -> dict[str, dict[str, str]]:
    """The models behind an operator by the name its settings give them, with what its scores depend on.

    `digest` (of the files), `dtype` and `device` (as this machine runs it), `preprocessing` (the model's own
    file, or its card) and `licence`; what does not apply is left out.
    """
    found: dict[str, dict[str, str]] = {}
    for each, setting, name in _named((instance,)):
        known = cards().get(name)
        facts = {
            "digest": each.contents[setting],
            **_runs_on(each),
            "preprocessing": _preprocessing(name) or (known.preprocessing if known else ""),
            "licence": known.licence if known else "",
        }
        found.setdefault(name, {}).update({key: value for key, value in facts.items() if value})
    return dict(sorted(found.items()))


def needed(instances: Iterable[Instance]) -> list[dict[str, Any]]:
    """The models that operators name, here or not, each once: where one is, where it is looked for, what fetches it."""
    users: dict[str, list[str]] = {}
    packaged = set()
    for instance in instances:
        for each, setting, name in _named((instance,)):
            users.setdefault(name, []).append(instance.alias or instance.spec.name)
            if not each.contents[setting].startswith(ABSENT):
                packaged.add(name)
    return [_whereabouts(name, list(dict.fromkeys(used)), name in packaged) for name, used in users.items()]


def _whereabouts(name: str, users: list[str], is_here: bool) -> dict[str, Any]:
    known = cards().get(name)
    found = {
        "name": name,
        "needed_by": users,
        "licence": known.licence if known else None,
        "size_bytes": known.size_bytes if known else None,
        "looked_at": [str(place) for place in places(name)],
    }
    try:
        return {**found, "path": str(find(name)), "fix": None}
    except MissingError as error:
        if is_here:
            return {**found, "path": "in a Python package", "fix": None}
        return {**found, "path": None, "fix": error.fix}


def _named(instances: Iterable[Instance]) -> Iterator[tuple[Instance, str, str]]:
    """Every setting that names a model, of the operators and all they need: (operator, setting, model)."""
    for instance in instances:
        for each in instance.closure():
            for setting in each.spec.marked(Model):
                if each.settings[setting] is not None:
                    yield each, setting, each.settings[setting]


def _runs_on(instance: Instance) -> dict[str, str]:
    device = instance.contents.get("device", "")
    dtype = instance.settings.get("dtype", "")
    return {"device": device, "dtype": dtype_of(dtype, device.partition(" ")[0]) if dtype else ""}


@cache
def _preprocessing(name: str) -> str:
    """What of the model's own preprocessor file matters, as compact JSON; empty where it has none."""
    file = next((f for place in places(name) if (f := place / "preprocessor_config.json").is_file()), None)
    if file is None:
        return ""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        what = f"{file.name} is damaged: {error}"
        raise MissingError(what, where=str(file), fix="fetch the model again") from error
    return json.dumps({key: data[key] for key in _KEPT if key in data}, sort_keys=True, separators=(",", ":"))
