"""Applies a splitter: a sample becomes its children, each with an identity of its own, or trouble that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sluice.operator.evaluate import Program
from sluice.operator.instance import Instance
from sluice.sample import Note, Sample, sample_id


@dataclass(frozen=True, slots=True)
class Family:
    """A parent and what it was split into; where that is nothing, `note` says why.

    A parent is *childless* where the splitter declined, and *failed* for any other note.
    """

    parent: Sample
    children: tuple[Sample, ...] = ()
    note: Note | None = None


class Splitter:
    """One splitter. It never raises for a sample's trouble, and a sample has all of its children or none."""

    def __init__(self, instance: Instance) -> None:
        self._name = instance.spec.name
        self._program = Program([instance])

    def __call__(self, parent: Sample) -> Family:
        """The family of one sample."""
        made = self._program([parent])
        (found,), (notes,) = made.columns[self._name], made.notes
        if found is None:
            return Family(parent, note=worst(notes))
        own = _identities(parent)
        children = tuple(self._child(parent, k, each, own) for k, each in enumerate(found))
        if len({child.id for child in children}) < len(children):
            note = Note("error", f"{self._name}: two children of one id", operator=self._name)
            return Family(parent, note=note)
        return Family(parent, children)

    def child(self, parent: Sample, position: int, made: Sample) -> Sample:
        """A child as it travels: with its parent, a key, and an id.

        The key is the parent's with the position, of four digits or more (`a/b_0003`), so that different
        parents' children have different keys. The id is the splitter's own where it gave one, else xxh3-128 of
        the parent's id, the splitter's name and the position. Items that are not the parent's have no `hash`.
        """
        return self._child(parent, position, made, _identities(parent))

    def _child(self, parent: Sample, position: int, made: Sample, own: frozenset[int]) -> Sample:
        return replace(
            made,
            id=made.id if made.id != parent.id else sample_id(parent.id, self._name, position),
            key=f"{parent.key}_{position:04d}",
            items=tuple(item if id(item) in own else replace(item, hash=None) for item in made.items),
            parent=parent.id,
            notes=(),
        )


def _identities(sample: Sample) -> frozenset[int]:
    """Its items as objects, to tell them from new ones; once for all children of a large document."""
    return frozenset(map(id, sample.items))


def worst(notes: Sequence[Note]) -> Note:
    """The note by which a sample's trouble is counted: that of the first fault, else of what was declined."""
    return next((note for note in notes if note.kind != "declined"), notes[0])
