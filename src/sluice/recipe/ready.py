"""Finds the ready recipes that come with Sluice, installed or in a checkout."""

from __future__ import annotations

from pathlib import Path

_PLACES = (Path(__file__).resolve().parents[1] / "recipes", Path(__file__).resolve().parents[3] / "recipes")


def ready_recipes(folder: str = "") -> dict[str, Path]:
    """The ready recipes by name, sorted: in the package where it is installed, else in the checkout.

    `folder` is one below theirs: `sandbox` has ready experiments.
    """
    for place in _PLACES:
        found = {path.stem: path for path in sorted((place / folder).glob("*.yaml"))}
        if found:
            return found
    return {}
