"""How do a sample's metadata get the names that its users expect?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field as Setting

from sluice.errors import Declined, SampleError
from sluice.operator import mapper
from sluice.ops.sample.stated import document
from sluice.sample import Item, Media, Sample

NewName = Annotated[str, Setting(min_length=1)]


@mapper(version=1, cost="header")
def sample_rename_metadata(
    sample: Sample, *, names: Annotated[dict[str, NewName], Setting(min_length=1)]
) -> Sample:
    """The sample with these names in its JSON metadata and its source columns, all others as they are.

    `names` gives new names by old ones: `{url: source_url, exif.Make: maker}`; an old name may be a path with
    dots and the new one then stands in the same object. Values stay, and so does their order; JSON in which a
    name changes is written anew (without its line breaks), all other keeps its bytes. Metadata that are no
    object have no names. All names change at once, so two may be exchanged. A sample in which a new name is
    taken already, or whose JSON is damaged, fails: old names never pass for new ones.
    """
    items = tuple(
        _renamed_item(item, names) if item.modality == "metadata" else item for item in sample.items
    )
    fields = _renamed(sample.fields, names)
    if fields is sample.fields and all(new is old for new, old in zip(items, sample.items, strict=True)):
        return sample
    return replace(sample, items=items, fields=fields)


def _renamed_item(item: Item, names: Mapping[str, str]) -> Item:
    try:
        before = document(item)
    except Declined as error:
        raise SampleError(error.reason, error.what) from error
    if not isinstance(before, dict):
        return item
    after = _renamed(before, names)
    if after is before:
        return item
    if item.text is None and item.media is None:
        return replace(item, fields=after)
    text = json.dumps(after, ensure_ascii=False)
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold as an escape
        text = json.dumps(after)
        data = text.encode()
    return replace(item, text=None if item.text is None else text, media=Media(data=data))


def _renamed(before: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """The object with new names; the very same one where none of the old ones is in it."""
    after: dict[str, Any] = {}
    for name, value in before.items():
        below = {path[len(name) + 1 :]: new for path, new in names.items() if path.startswith(f"{name}.")}
        inner = _renamed(value, below) if below and isinstance(value, dict) else value
        new_name = names.get(name, name)
        if new_name in after:
            raise SampleError("name taken", f"two values would both be named {new_name!r}")
        after[new_name] = inner
    same = list(after) == list(before) and all(after[name] is before[name] for name in before)
    return before if same else after
