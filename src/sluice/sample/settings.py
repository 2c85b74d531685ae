"""Settings of a format's reader or writer, checked against its constructor before anything is opened."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from sluice.errors import UsageError

_OURS = ("self", "source", "output", "columns")


def checked_settings(
    format: str, kind: Callable[..., Any], settings: Mapping[str, Any], *, what: str = "setting"
) -> dict[str, Any]:
    """The settings as `kind` takes them, by the annotations of its keyword arguments.

    `UsageError` naming the nearest for one that there is not, and saying what is taken for a wrong value.
    """
    if not settings:
        return {}
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    parameters = inspect.signature(kind).parameters
    known = [name for name in parameters if name not in _OURS]
    hints = (
        typing.get_type_hints(kind.__init__, include_extras=True)  # type: ignore[misc]
        if isinstance(kind, type)
        else {}
    )
    found = {}
    for name, value in settings.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"did you mean {near[0]!r}?" if near else f"{what}s: {', '.join(known) or 'none'}"
            raise UsageError(f"the format {format!r} has no {what} {name!r}", fix=fix)
        wanted = hints.get(name, Any)
        try:
            found[name] = TypeAdapter(wanted, config=ConfigDict(strict=False)).validate_python(value)
        except ValidationError as error:
            said = "; ".join(e["msg"] for e in error.errors())
            raise UsageError(
                f"{what} {name!r} of the format {format!r} cannot be {value!r}", fix=said
            ) from None
    return found
