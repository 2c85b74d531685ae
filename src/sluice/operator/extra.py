"""Imports what an extra brings, where it is used: a machine without it is told which command supplies it."""

from __future__ import annotations

import importlib
from typing import Any

from sluice.errors import MissingError


def imported(module: str, extra: str) -> Any:
    """A module of one of our extras, imported now; MissingError with the command that installs the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        fix = f"pip install 'sluice[{extra}]'"
        raise MissingError(f"{module} cannot be imported: {error}", fix=fix) from error
