"""Seeds as a workflow gives them: a list, or how many."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from sluice.recipe.quantities import wrong


def _seeds(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        value = list(range(1, value + 1))
    if isinstance(value, list | tuple):
        if not value:
            raise wrong("there is no seed", "give at least one; two or more can be compared")
        if len(set(value)) < len(value):
            raise wrong("a seed is named twice", "runs of one seed are the same run")
    return value


Seeds = Annotated[tuple[int, ...], BeforeValidator(_seeds)]
"""`seeds: [42, 45]`, or `seeds: 8`, which is 1 to 8."""
