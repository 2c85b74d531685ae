"""Sluice curates multimodal training data: measure once, decide many times, move bytes once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sluice.dataset import Dataset, read
    from sluice.operator import Field, deduplicator, feature, mapper, measure, splitter
    from sluice.recipe import Recipe

# Names are looked up on first use, so that `import sluice` costs next to nothing.
_HOME = {
    "Dataset": "sluice.dataset",
    "read": "sluice.dataset",
    "Recipe": "sluice.recipe",
    "Field": "sluice.operator",
    "deduplicator": "sluice.operator",
    "feature": "sluice.operator",
    "mapper": "sluice.operator",
    "measure": "sluice.operator",
    "splitter": "sluice.operator",
}

__all__ = [
    "Dataset",
    "Field",
    "Recipe",
    "deduplicator",
    "feature",
    "mapper",
    "measure",
    "read",
    "splitter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sluice' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
