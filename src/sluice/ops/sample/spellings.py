"""Knows licences by the ways in which people write them: a table of spellings, ours or a file of the user's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import xxhash
import yaml

from sluice.errors import MissingError, PlanError
from sluice.operator.spec import Contents

OURS = "sluice-licences"
_SAYS_NOTHING = {"the", "license", "licence", "international", "unported", "generic", "v", "version"}
_ADDRESS = re.compile(r"^(https?://)?(www\.)?|(/(deed|legalcode)(\.[\w-]+)?)?/?$|\.html?$|\.txt$")


def _path(name: str) -> Path:
    return (
        Path(str(files("sluice.ops.sample") / "licences.yaml")) if name == OURS else Path(name).expanduser()
    )


def _contents(name: str) -> bytes:
    path = _path(name)
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"the table of licences {name!r} cannot be read: {error.strerror}"
        raise MissingError(what, where=str(path), fix=f"give the path of a table, or {OURS!r}") from error


@cache
def digest(name: str) -> str:
    """xxh3-128 of what a table's file holds, in hexadecimal."""
    return xxhash.xxh3_128_hexdigest(_contents(name))


Spellings = Annotated[
    str,
    Contents(digest, lambda name: "our own table of SPDX identifiers (Apache-2.0)" if name == OURS else name),
]
"""A setting that names a table: `sluice-licences`, or the path of a YAML file of its form."""


def bare(text: str) -> str:
    """A spelling's letters and digits in lower case, without what addresses and names have for form's sake."""
    address = _ADDRESS.sub("", text.strip().lower())
    words = re.findall(r"[^\W\d_]+|\d+", address)
    return "".join(word for word in words if word not in _SAYS_NOTHING) or "".join(words)


@cache
def table(name: str) -> Mapping[str, str | None]:
    """Identifiers by bare spelling; None for words that say that the licence is unknown.

    Raises MissingError where the file cannot be read, PlanError where it has another form or is ambiguous.
    """
    try:
        found = yaml.safe_load(_contents(name))
        spellings: dict[str, str | None] = {bare(word): None for word in found.get("unknown", ())}
        for identifier, spelling in _pairs(found["licences"]):
            if spellings.setdefault(bare(spelling), identifier) != identifier:
                raise PlanError(f"the table of licences {name!r} gives {spelling!r} two meanings", where=name)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        what = f"the table of licences {name!r} has another form: {error}"
        raise PlanError(what, fix="see `licences: [{id: MIT, spellings: [MIT License]}]`") from error
    return spellings


def _pairs(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        for version in entry.get("versions", [""]):
            identifier = entry["id"].replace("{v}", version)
            yield identifier, identifier
            yield from ((identifier, text.replace("{v}", version)) for text in entry.get("spellings", ()))
