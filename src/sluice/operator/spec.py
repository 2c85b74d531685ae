"""What is known of an operator: everything its declaration says, in one frozen record."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel

from sluice.operator.source import source_hash

Kind = Literal["feature", "measure", "track", "mapper", "splitter", "deduplicator"]
Cost = Literal["header", "decode", "model", "remote"]
COSTS: tuple[Cost, ...] = ("header", "decode", "model", "remote")
"""Costs from cheap to dear; `keep` rules gate the last two only."""
GATED: frozenset[str] = frozenset({"model", "remote"})

ValueKind = Literal["number", "text", "bool", "vector", "bits"]


@dataclass(frozen=True, slots=True)
class Field:
    """What a stored value means; goes into the return annotation: `Annotated[float, Field(unit="variance")]`.

    `ge` and `le` are the closed range of possible values, `higher_is` and `true_means` a word or phrase,
    `size` the length of a vector and `bits` the width of a hash, `bound` the documented default rule bound.
    """

    unit: str = ""
    ge: float | None = None
    le: float | None = None
    higher_is: str = ""
    true_means: str = ""
    size: int | None = None
    bits: int | None = None
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One column an operator makes: its name, the kind of its values and their meaning."""

    name: str
    kind: ValueKind
    python: type
    field: Field

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of one value."""
        if self.kind == "vector":
            return pa.list_(pa.float32(), self.field.size or -1)
        if self.kind == "bits":
            return pa.uint64() if self.field.bits == 64 else pa.binary((self.field.bits or 0) // 8)
        return {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}[self.python]


@dataclass(frozen=True, slots=True)
class Need:
    """A feature or measure that an operator takes, by the name and annotation of its parameter."""

    name: str
    annotation: Any


@dataclass(frozen=True, eq=False)
class Spec:
    """One operator as declared. Pickles by reference to its declaration, so that it crosses processes.

    `scope` is what one call sees (`image`, `text`, `frame`, `audio`, `video`, `pair`, `sample`; for a
    deduplicator, `columns`); `batched` says that it takes lists, one entry an item; `by` is the value kind a
    deduplicator compares; `libraries` are the distributions whose versions belong to the fingerprint.
    """

    name: str
    kind: Kind
    scope: str
    version: int
    cost: Cost
    needs: tuple[Need, ...]
    settings: type[BaseModel]
    outputs: tuple[Output, ...]
    target: Callable[..., Any]
    doc: str
    question: str
    returns: Any = None
    batched: bool = False
    libraries: tuple[str, ...] = ()
    example: str = ""
    by: str = ""
    origin: str = field(default="sluice", compare=False)

    @cached_property
    def source_hash(self) -> str:
        """xxh3-128 of the code that makes its values, comments and docstrings left out; found out when asked."""
        return source_hash(self.target)

    @property
    def module(self) -> str:
        """The module of the declaration."""
        return self.target.__module__

    @property
    def is_class(self) -> bool:
        """Whether the operator holds state (a model) and is opened once per worker."""
        return isinstance(self.target, type)

    @cached_property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line."""
        return " ".join(self.doc.split("\n\n")[0].split())

    def __reduce__(self) -> tuple[Any, ...]:
        return _declared_at, (self.target.__module__, self.target.__qualname__)


def _declared_at(module: str, qualname: str) -> Spec:
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    spec: Spec = found.spec
    return spec
