"""Columns: what the operators of a plan make, with the address of what made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from sluice.operator import Instance, Output


@dataclass(frozen=True, slots=True)
class Column:
    """A column to be computed or read: its name in this recipe and what makes it.

    `fingerprint` says what made the values and `part` which of the operator's outputs; `modality` is that of
    the items for an item-level column, None for a sample-level one. `operators` are the names of all
    operators and features behind it, by which its notes are told from others'.
    """

    name: str
    output: Output
    fingerprint: str
    part: int = 0
    modality: str | None = None
    operators: frozenset[str] = frozenset()

    @property
    def mark(self) -> str:
        """The address of the column's cells."""
        return f"{self.fingerprint}.{self.part}"

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of one sample's entry."""
        return pa.list_(self.output.arrow) if self.modality else self.output.arrow


def columns_of(instances: Iterable[Instance]) -> Iterator[Column]:
    """The columns that these operators make, in their order."""
    for instance in instances:
        names = frozenset(i.alias or i.spec.name for i in instance.closure())
        for part, output in enumerate(instance.outputs):
            yield Column(output.name, output, instance.fingerprint, part, instance.modality, names)
