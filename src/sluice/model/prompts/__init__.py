"""What captioners are asked, as files beside this one or anywhere: known by what they say, not by their names."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import xxhash

from sluice.errors import MissingError
from sluice.operator.spec import Contents

NAMES = ("default", "short", "medium", "long")
"""The prompts that come with Sluice."""


def prompt_text(name: str) -> str:
    """The prompt of that name, else the UTF-8 text of the file at that path; MissingError where there is none."""
    if name in NAMES:
        return (files(__name__) / f"{name}.txt").read_text(encoding="utf-8").strip()
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise MissingError(
            f"the prompt {name!r} cannot be read: {error}",
            fix=f"give the path of a text file, or one of {', '.join(NAMES)}",
        ) from error
    if not text:
        raise MissingError(f"the prompt {name!r} says nothing", fix="write into the file what is to be asked")
    return text


def prompt_hash(name: str) -> str:
    """xxh3-64 of the prompt's text, 16 hexadecimal digits: its version."""
    return xxhash.xxh3_64_hexdigest(prompt_text(name).encode())


def refusals() -> tuple[str, ...]:
    """How replies begin that refuse: lower case, straight apostrophes."""
    lines = (files(__name__) / "refusals.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


Prompt = Annotated[str, Contents(prompt_hash, lambda name: f"prompt {name}")]
"""A setting that names a prompt: one of ours, or the path of a text file."""
