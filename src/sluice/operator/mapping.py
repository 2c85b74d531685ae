"""Applies mappers to samples: each item of a mapper's scope becomes its new version, or trouble of its sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sluice.operator.evaluate import Program
from sluice.operator.instance import Instance
from sluice.sample import Item, Media, Note, Sample


class MapperChain:
    """Mappers of items and of whole samples, applied one after another; each sees what the one before it made.

    Bytes take the place of the item's media and text of its text; an `Item` takes the item's own place; a
    `Sample` brings items and fields, but keeps its identity. A new version has no `hash`. Where a mapper
    declines, the item or sample stays as it is. Any other trouble leaves an item without content, so that the
    old version never passes for the new one, and a note on its sample whose reason names the mapper. What
    becomes of a sample does not depend on those beside it. `given` are measures of whole samples' mappers whose
    values each call brings along.
    """

    def __init__(self, instances: Sequence[Instance], given: Sequence[Instance] = ()) -> None:
        self._programs = [(instance, Program([instance], given)) for instance in instances]

    def __call__(
        self, samples: Sequence[Sample], given: Mapping[Instance, list[Any]] | None = None
    ) -> list[Sample]:
        """The samples' new versions, in order; never raises for a sample's trouble. `given`: see `Program`."""
        mapped = list(samples)
        for instance, program in self._programs:
            made = program(mapped, given=given)
            values = made.columns[instance.spec.name]
            mapped = [
                _changed(sample, instance, *each)
                for sample, each in zip(mapped, zip(values, made.notes, strict=True), strict=True)
            ]
        return mapped


def _changed(sample: Sample, instance: Instance, values: Any, notes: Sequence[Note]) -> Sample:
    if instance.spec.scope == "sample":
        return _changed_whole(sample, instance, values, notes)
    items = list(sample.items)
    troubled = {note.item for note in notes if note.kind != "declined"}
    for (index, item), value in zip(sample.of(instance.spec.scope), values, strict=True):
        if value is not None:
            items[index] = _new_item(item, value)
        elif index in troubled:
            items[index] = replace(item, text=None, media=None, hash=None, fields={})
    before = {note.item for note in sample.notes if note.kind != "declined"}  # what failed is said already
    named = (_named(note, instance.spec.name) for note in notes if note.item not in before)
    return replace(sample, items=tuple(items), notes=(*sample.notes, *named))


def _changed_whole(sample: Sample, instance: Instance, new: Sample | None, notes: Sequence[Note]) -> Sample:
    """The sample with the items and fields that the mapper gave it.

    An item that cannot be read is no trouble of the mapper's where it made a new version without it.
    """
    if new is None:
        new, told = sample, list(notes)
    else:
        told = [note for note in notes if note.kind != "unreadable"]
    known = {id(item) for item in sample.items}
    items = tuple(item if id(item) in known else replace(item, hash=None) for item in new.items)
    named = (_named(note, instance.spec.name) for note in told)
    return replace(sample, items=items, fields=new.fields, notes=(*sample.notes, *named))


def _new_item(item: Item, value: bytes | str | Item) -> Item:
    if isinstance(value, Item):
        return item if value is item else replace(value, hash=None)
    if isinstance(value, str):
        return item if item.text == value else replace(item, text=value, media=None, hash=None)
    if item.media is not None and item.media.data == value:
        return item
    return replace(item, media=Media(data=value), text=None, hash=None)


def _named(note: Note, name: str) -> Note:
    """The note with the mapper's name in its reason; bytes that cannot be read are no fault of the mapper's."""
    if note.operator == "read" or note.reason.startswith(f"{name}: "):
        return note
    return replace(note, reason=f"{name}: {note.reason}")
