"""Finds what a sample's metadata states, for the operators that read it: one order of search, one kind of refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field as Setting

from sluice.errors import Declined, StorageError
from sluice.sample import Item, Sample

Names = Annotated[list[str], Setting(min_length=1)]
"""A setting: names of metadata fields, the first that holds something counts."""

_WORD_MAX_CHARACTERS = 10_000
"""Longer texts are documents, not statements about one."""


def stated(sample: Sample, name: str) -> Any:
    """What the sample's metadata holds under a name; None where it holds nothing.

    A name is a path with dots: `licence.year` is `{"licence": {"year": 2020}}`. The first JSON item that has it
    counts (`key.json` beside `key.jpg`), then the source's own columns, of which one may have the whole path
    as its name. Declined with `metadata not readable` where JSON before that is damaged.
    """
    path = name.split(".")
    for _, item in sample.of("metadata"):
        value = _at(document(item), path)
        if value is not None:
            return value
    value = sample.fields.get(name)
    return _at(sample.fields, path) if value is None else value


def text_of(sample: Sample, names: list[str]) -> str:
    """The first text under one of these names, without blanks around it.

    Declined with `no such field` where there is nothing but nulls and blank texts, with `not a text` where
    only numbers, lists and such are found, or what cannot be stored as UTF-8, or is over 10,000 characters.
    """
    other = ""
    for name, value in _all(sample, names):
        if isinstance(value, str) and len(value) <= _WORD_MAX_CHARACTERS and _is_unicode(value):
            if value.strip():
                return value.strip()
        else:
            other = other or f"{name!r} holds {type(value).__name__}"
    if other:
        raise Declined("not a text", other)
    raise Declined("no such field", f"no metadata of this sample has {', '.join(names)}")


def document(item: Item) -> Any:
    """A metadata item's JSON. Declined with `metadata not readable` where it is damaged or gone."""
    try:
        if item.text is not None:
            return json.loads(item.text)
        return json.loads(item.media.read()) if item.media is not None else dict(item.fields)
    except (ValueError, RecursionError, StorageError) as error:
        raise Declined("metadata not readable", str(error)) from error


def _all(sample: Sample, names: list[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        value = stated(sample, name)
        if value is not None:
            yield name, value


def _at(value: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold as an escape
        return False
    return True
