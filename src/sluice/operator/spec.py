"""What is known of an operator: everything its declaration says, in one frozen record."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, create_model

from sluice.operator.source import source_hash

Kind = Literal["feature", "measure", "track", "mapper", "splitter", "deduplicator"]
Cost = Literal["header", "decode", "model", "remote"]
COSTS: tuple[Cost, ...] = ("header", "decode", "model", "remote")
"""Costs from cheap to dear; `keep` rules gate the last two only."""
GATED: frozenset[str] = frozenset({"model", "remote"})

ITEM_SCOPES = frozenset({"image", "video", "audio", "text"})
"""Scopes in which an operator is called once an item of that modality."""
PAIR_SCOPES: dict[str, str] = {"pair": "image", "video_pair": "video"}
"""Scopes in which an operator is called once a pair of an item and a text, and the modality of that item."""


@dataclass(frozen=True, slots=True)
class Over:
    """What operators of one scope can be asked for over, instead of over one item each.

    `scope` is theirs, `definition` what they then see; it is part of the fingerprint. `modality` is that of the items
    that have a value then; None where the sample has one. `like` are the items it is made of.
    """

    scope: str
    definition: str
    like: str
    modality: str | None = None


OVER: dict[str, Over] = {
    "document": Over(
        "text", "all texts of the sample in their order, as they were read, joined by blank lines", "text"
    ),
    "frames": Over(
        "image",
        "frames of a video, each as a picture of its own, their values reduced to one",
        "video",
        "video",
    ),
}
"""By the word that a recipe writes behind `over:`."""

Sees = Literal["grid", "frames", "audio"]
"""What a track is given of a source: frames on a fixed grid of time, every frame, or blocks of sound."""

Marker = TypeVar("Marker")

ValueKind = Literal["number", "text", "bool", "vector", "bits", "binary"]


@dataclass(frozen=True, slots=True)
class Field:
    """What a stored value means; goes into the return annotation: `Annotated[float, Field(unit="variance")]`.

    `ge` and `le` are the closed range of possible values, `higher_is` and `true_means` a word or phrase,
    `size` the length of a vector (`ANY_SIZE` where the operator's model decides) and `bits` the width of a
    hash, `bound` the documented default rule bound, `typical` the lowest and highest value that are met in
    practice where the scale has no hard ends, `unknown` what a run says of samples that it writes with
    a null in this column ("are of unknown licence"; it says nothing by default).
    """

    unit: str = ""
    ge: float | None = None
    le: float | None = None
    higher_is: str = ""
    true_means: str = ""
    size: int | None = None
    bits: int | None = None
    bound: str = ""
    typical: tuple[float, float] | None = None
    unknown: str = ""


ANY_SIZE = -1
"""`Field.size` of vectors whose length a setting decides; all vectors of one column have the same."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Marks a setting that names something outside the code: weights, a list of words, a device.

    `digest` gives, for the setting's value, what the named thing holds: that, and not its name or path, goes
    into the fingerprint. It raises MissingError where the thing is not on this machine. `about` gives a phrase
    for people (where it comes from, its licence), and must not need the thing itself.
    """

    digest: Callable[[Any], str]
    about: Callable[[Any], str] = lambda value: ""


@dataclass(frozen=True, slots=True)
class Inherited:
    """Marks a setting of a feature that takes the value of the operator that needs the feature, if it has one."""


@dataclass(frozen=True, slots=True)
class When:
    """Marks a need that is met only where a setting has this value; elsewhere the operator is given None.

    So an operator with two backends does not run what only the other one needs.
    """

    setting: str
    value: Any


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
            return pa.list_(pa.float32(), self.field.size or ANY_SIZE)
        if self.kind == "binary":
            return pa.large_binary()
        if self.kind == "bits":
            return pa.uint64() if self.field.bits == 64 else pa.binary((self.field.bits or 0) // 8)
        return {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}[self.python]


@dataclass(frozen=True, slots=True)
class Need:
    """A feature or measure that an operator takes, by the name and annotation of its parameter."""

    name: str
    annotation: Any

    @property
    def when(self) -> When | None:
        """The setting that decides whether an operator takes it at all, if one does."""
        return self.marked(When)

    def marked(self, kind: type[Marker]) -> Marker | None:
        """The marker of this kind in its annotation, if there is one."""
        marks = getattr(self.annotation, "__metadata__", ())
        return next((mark for mark in marks if isinstance(mark, kind)), None)

    def wanted(self, settings: Mapping[str, Any]) -> bool:
        """Whether an operator with these settings takes it."""
        return self.when is None or settings[self.when.setting] == self.when.value


@dataclass(frozen=True, eq=False)
class Spec:
    """One operator as declared. Pickles by reference to its declaration, so that it crosses processes.

    `scope` is what one call sees (`image`, `text`, `frame`, `audio`, `video`, `pair`, `video_pair`, `sample`; for a
    deduplicator, `columns`); `parameters` hold of each setting its annotation and default (`...` for none);
    `batched` says that it takes lists, one entry an item; `by` is the value kind a deduplicator compares;
    `libraries` are the distributions whose versions belong to the fingerprint; `sees` and `motion_vectors` say of
    a track what it is given.
    """

    name: str
    kind: Kind
    scope: str
    version: int
    cost: Cost
    needs: tuple[Need, ...]
    parameters: Mapping[str, Any]
    outputs: tuple[Output, ...]
    target: Callable[..., Any]
    doc: str
    question: str
    returns: Any = None
    batched: bool = False
    libraries: tuple[str, ...] = ()
    example: str = ""
    by: str = ""
    sees: Sees | None = None
    motion_vectors: bool = False
    origin: str = field(default="sluice", compare=False)

    @cached_property
    def settings(self) -> type[BaseModel]:
        """The model of its settings; made when asked for, since a run asks few of a hundred operators."""
        config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
        model: type[BaseModel] = create_model(f"{self.name}_settings", __config__=config, **self.parameters)
        return model

    @cached_property
    def source_hash(self) -> str:
        """xxh3-128 of the code that makes its values, comments and docstrings left out; found out when asked."""
        return source_hash(self.target)

    @property
    def module(self) -> str:
        """The module of the declaration."""
        return self.target.__module__

    def marked(self, kind: type[Marker]) -> dict[str, Marker]:
        """The settings with a marker of this kind (`Contents`, `Inherited`), and the markers."""
        fields = self.settings.model_fields.items()
        return {name: m for name, field in fields for m in field.metadata if isinstance(m, kind)}

    @property
    def modality(self) -> str | None:
        """The modality whose items its values belong to; None for values of the sample as a whole.

        The values of a pair belong to its image or video.
        """
        return PAIR_SCOPES.get(self.scope) or (self.scope if self.scope in ITEM_SCOPES else None)

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
