"""Fills `{train_data}`, `{seed}` and other named places in command lines; an unknown one is an error before the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from sluice.errors import UsageError
from sluice.recipe.nearest import did_you_mean

Value = str | int | float | bool
"""What a placeholder may stand for; its format (`{seed:04d}`) must fit the type."""

KINDS: Mapping[str, tuple[type, str]] = {
    "train_data": (Path, "the file or folder that holds the arm's data, in the trainer's format"),
    "media_dir": (Path, "the folder that paths inside that file begin in"),
    "train_samples": (int, "how many samples the arm has"),
    "last_shard": (
        int,
        "the number of the last tar or table, the first being 0: {{00000..{last_shard:05d}}}.tar",
    ),
    "output_dir": (Path, "an empty folder for what the program makes"),
    "seed": (int, "the seed of this run"),
    "gpus": (int, "how many GPUs the program was given"),
    "log": (Path, "the file that holds what the program prints"),
    "model": (Path, "the trained model"),
    "prompts": (Path, "the file or folder with the prompts"),
    "data": (Path, "the held-out data"),
    "python": (Path, "the interpreter that runs Sluice, or the program's own where it names one"),
}
"""The placeholders that Sluice fills, the type of what they stand for, and their meaning."""


def names_in(text: str) -> list[str]:
    """The placeholders in a text (`{{` and `}}` are braces); `UsageError` where it cannot be read."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", fix="write a brace itself as {{ or }}") from None
    found = []
    for _, name, spec, _ in parts:
        if name is None:
            continue
        if not name.isidentifier():
            raise UsageError(
                f"{text!r}: a placeholder is a name, not {name!r}", fix="write a brace itself as {{ or }}"
            )
        found.append(name)
        found += names_in(spec or "")
    return found


def check(texts: Iterable[str], known: Iterable[str], values: Mapping[str, Value]) -> set[str]:
    """The placeholders that the texts use. `UsageError` for one that nothing fills, or whose format does not fit."""
    sample = {name: KINDS[name][0](1) if KINDS[name][0] is int else Path("x") for name in known}
    used: set[str] = set()
    for text in texts:
        for name in names_in(text):
            if name not in sample and name not in values:
                raise UsageError(
                    f"nothing fills the placeholder {{{name}}} in {text!r}",
                    fix=did_you_mean(name, [*sample, *values], "filled") + "; or give it under `values`",
                )
            used.add(name)
        filled(text, {**sample, **values})
    return used


def filled(text: str, values: Mapping[str, Any]) -> str:
    """The text with every placeholder filled."""
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    try:
        return text.format_map(plain)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{text!r}: {error}", fix="the format must fit the placeholder's type") from None
