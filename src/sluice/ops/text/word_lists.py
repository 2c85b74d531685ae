"""Lists of words by language: those of a package, our own, or a file of the user's."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import xxhash

from sluice.errors import MissingError, PlanError
from sluice.operator.spec import Contents

STOPWORDS, FLAGGED = "stopwordsiso", "sluice-flagged"
ALL = "all"
"""The language that means the words of all languages of a list."""

_ABOUT = {STOPWORDS: "the package stopwordsiso (MIT)", FLAGGED: "our own list of English words (Apache-2.0)"}


def _path(name: str) -> Path:
    if name == FLAGGED:
        return Path(str(files("sluice.ops.text.lists") / "flagged.json"))
    if name != STOPWORDS:
        return Path(name).expanduser()
    package = importlib.util.find_spec(STOPWORDS)
    folders = list(package.submodule_search_locations or ()) if package else []
    if not folders:
        raise MissingError("the package stopwordsiso is not installed", fix="pip install 'sluice[text]'")
    return Path(folders[0]) / "stopwords-iso.json"


def _contents(name: str) -> bytes:
    path = _path(name)
    try:
        return path.read_bytes()
    except OSError as error:
        fix = f"give the path of a list, or {STOPWORDS!r} or {FLAGGED!r}"
        raise MissingError(
            f"the list of words {name!r} cannot be read: {error.strerror}", where=str(path), fix=fix
        ) from error


@cache
def digest(name: str) -> str:
    """xxh3-128 of what a list's file holds, in hexadecimal."""
    return xxhash.xxh3_128_hexdigest(_contents(name))


def about(name: str) -> str:
    """Where a list comes from and its licence; its name alone where it is the user's."""
    return _ABOUT.get(name, name)


WordList = Annotated[str, Contents(digest, about)]
"""A setting that names a list: `stopwordsiso`, `sluice-flagged`, or the path of a file."""


def words_of(name: str, language: str) -> frozenset[str]:
    """The words of one language of a list, in lower case.

    A file is JSON (a list of words, or lists of words by language) or plain text with a word a line; a list
    without languages serves for every language, and the language `all` means the words of all. Raises
    MissingError where the file cannot be read, PlanError where it is no list or lacks the language.
    """
    text = _contents(name).decode("utf-8-sig", "replace")
    found: Any = text.split("\n")
    if text.lstrip()[:1] in ("[", "{"):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise PlanError(f"the list of words {name!r} is not JSON: {error}", where=name) from error
    if isinstance(found, dict):
        if language not in found and language != ALL:
            shown = ", ".join(sorted(found)[:60])
            raise PlanError(f"the list of words {name!r} has none for {language!r}", fix=f"it has: {shown}")
        found = list(chain(*found.values())) if language == ALL else found[language]
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise PlanError(
            f"the list of words {name!r} has another form",
            fix="give a JSON list of words, or an object with one such list a language",
        )
    return frozenset(bare for word in found if (bare := word.strip().lower()))
