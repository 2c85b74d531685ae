"""What captioners are asked, as files beside this one or anywhere: known by what they say, not by their names."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import xxhash

from sluice.errors import MissingError
from sluice.operator.spec import Contents

Subject = Literal["image", "video", "text", "questions", "label"]
"""What a prompt asks for: a caption of a picture, of the frames of a clip, of another caption that is to be rewritten;
answers to questions about a clip; one label of several.
"""

NAMES: dict[Subject, tuple[str, ...]] = {
    "image": ("default", "short", "medium", "long"),
    "video": ("default", "driving", "surveillance", "short", "medium", "long"),
    "text": ("rewrite",),
    "questions": ("default",),
    "label": ("default",),
}
"""The prompts that come with Sluice."""


def prompt_text(name: str, about: Subject = "image") -> str:
    """The prompt of that name, else the UTF-8 text of the file at that path; MissingError where there is none."""
    if name in NAMES[about]:
        return packaged(f"{name}.txt" if about == "image" else f"{about}/{name}.txt")
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise MissingError(
            f"the prompt {name!r} cannot be read: {error}",
            fix=f"give the path of a text file, or one of {', '.join(NAMES[about])}",
        ) from error
    if not text:
        raise MissingError(f"the prompt {name!r} says nothing", fix="write into the file what is to be asked")
    return text


def packaged(path: str) -> str:
    """The text of a file beside this one, blanks around it left out."""
    return files(__name__).joinpath(path).read_text(encoding="utf-8").strip()


def prompt_hash(name: str, about: Subject = "image") -> str:
    """xxh3-64 of the prompt's text, 16 hexadecimal digits: its version."""
    return text_hash(prompt_text(name, about))


def text_hash(text: str) -> str:
    """xxh3-64 of a text, 16 hexadecimal digits."""
    return xxhash.xxh3_64_hexdigest(text.encode())


def refusals() -> tuple[str, ...]:
    """How replies begin that refuse: lower case, straight apostrophes."""
    lines = packaged("refusals.txt").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _known_by_text(about: Subject) -> Contents:
    return Contents(partial(prompt_hash, about=about), lambda name: f"prompt {name}")


Prompt = Annotated[str, _known_by_text("image")]
"""A setting that names a prompt about a picture: one of ours, or the path of a text file."""

VideoPrompt = Annotated[str, _known_by_text("video")]
TextPrompt = Annotated[str, _known_by_text("text")]
QuestionsPrompt = Annotated[str, _known_by_text("questions")]
LabelPrompt = Annotated[str, _known_by_text("label")]
"""Likewise, of the other subjects."""
