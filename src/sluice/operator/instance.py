"""An operator with its settings and its dependencies resolved: what a plan is made of."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import xxhash

from sluice.errors import MissingError
from sluice.operator.frames import Frames, Reduce, reduced_output
from sluice.operator.spec import COSTS, OVER, Contents, Cost, Output, Spec

ROOTS: dict[str, frozenset[str]] = {
    "image": frozenset({"item", "media", "encoded"}),
    "video": frozenset({"item", "media"}),
    "audio": frozenset({"item", "media"}),
    "text": frozenset({"item", "text"}),
    "sample": frozenset({"sample"}),
    "document": frozenset({"text"}),
    "frame": frozenset({"frame"}),
}
"""Names that the evaluator itself supplies in each scope."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One operator as a recipe asks for it.

    `settings` are complete (defaults filled in); `bindings` give for each need the instance that supplies it,
    roots excepted; `alias` renames its column (`as:`). `over` (a key of `OVER`) is what it and all that it needs
    see, where that is not one item: `frames` then says of a part which frames, and `reduce` of the whole (whose one
    binding, `frames`, is the part) how their values become one.
    """

    spec: Spec
    settings: Mapping[str, Any]
    bindings: Mapping[str, Instance]
    alias: str | None = None
    over: str | None = None
    frames: Frames | None = None
    reduce: Reduce | None = None

    @property
    def scope(self) -> str:
        """What one call sees: the operator's own scope, or what the recipe asks for it over."""
        if self.over == "frames":
            return "frame" if self.reduce is None else "video"
        return self.over or self.spec.scope

    @property
    def batched(self) -> bool:
        """Whether one call takes lists, one entry an item."""
        return self.spec.batched and self.reduce is None

    @property
    def given(self) -> tuple[Instance | str, ...]:
        """What a call is given, in order: what each binding makes, or what the evaluator supplies by this name.

        The empty name stands for nothing: a need that is not wanted.
        """
        if self.reduce is not None:
            return (self.bindings["frames"],)
        roots = ROOTS.get(self.scope, frozenset())
        return tuple(
            self.bindings.get(need.name) or (need.name if need.name in roots else "")
            for need in self.spec.needs
        )

    @property
    def asked_over(self) -> dict[str, Any]:
        """What a recipe says of it besides its settings: over what, which frames, how reduced."""
        if self.over is None:
            return {}
        part = self.bindings["frames"].frames if self.reduce is not None else self.frames
        how = {"reduce": self.reduce} if self.reduce is not None else {}
        return {"over": self.over, **(part.asked if part is not None else {}), **how}

    @property
    def modality(self) -> str | None:
        """The modality whose items its values belong to; None for values of the sample as a whole."""
        return OVER[self.over].modality if self.over else self.spec.modality

    @cached_property
    def outputs(self) -> tuple[Output, ...]:
        """The columns it makes, under the names they have in this recipe."""
        outputs = self.spec.outputs
        if self.reduce is not None:
            outputs = tuple(reduced_output(o, self.reduce) for o in outputs)
        if self.alias is None:
            return outputs
        tails = [o.name.removeprefix(self.spec.name) for o in outputs]
        return tuple(
            Output(self.alias + tail, o.kind, o.python, o.field)
            for tail, o in zip(tails, outputs, strict=True)
        )

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the values that a program gives of it: its columns; of mappers and splitters its own name; of
        tracks none.
        """
        if self.spec.kind == "track":
            return ()
        made = self.spec.kind in ("mapper", "splitter")
        return (self.spec.name,) if made else tuple(o.name for o in self.outputs)

    @property
    def level(self) -> str:
        """`item` where there is one value an item of a modality, else `sample`."""
        return "item" if self.modality else "sample"

    @cached_property
    def contents(self) -> dict[str, str]:
        """What the things hold that its settings name (weights, lists, devices), by setting.

        Raises MissingError where one is not on this machine, unless `absences` collects that.
        """
        found = self.spec.marked(Contents)
        return {name: _digest(marker, self.settings[name]) for name, marker in found.items()}

    @cached_property
    def fingerprint(self) -> str:
        """What made the value, 32 hexadecimal digits: code, version, settings, libraries and dependencies."""
        parts: dict[str, Any] = {
            "name": self.spec.name,
            "version": self.spec.version,
            "source": self.spec.source_hash,
            "settings": {**self.settings, **self.contents},
            "libraries": {name: library_version(name) for name in self.spec.libraries},
            "needs": {name: instance.fingerprint for name, instance in self.bindings.items()},
        }
        if self.over:
            parts["over"] = OVER[self.over].definition
        if self.over == "frames":
            parts["frames"] = self.asked_over
        return xxhash.xxh3_128_hexdigest(json.dumps(parts, sort_keys=True, default=str).encode())

    @cached_property
    def asked(self) -> str:
        """What was asked for, as text: equal for equal requests, whether or not this machine can meet them."""
        needs = {name: instance.asked for name, instance in self.bindings.items()}
        parts = (self.scope, self.spec.name, self.alias, self.settings, needs, *self.asked_over.items())
        return json.dumps(parts, sort_keys=True, default=str)

    @cached_property
    def cost(self) -> Cost:
        """The dearest cost among itself and what it needs."""
        costs: list[Cost] = [self.spec.cost, *(b.cost for b in self.bindings.values())]
        return max(costs, key=COSTS.index)

    def closure(self, given: Iterable[Instance] = ()) -> Iterator[Instance]:
        """Itself and all it depends on, dependencies first, each once; without `given` and what only those need."""
        yield from self._walk({instance.asked for instance in given})

    def _walk(self, seen: set[str]) -> Iterator[Instance]:
        if self.asked in seen:
            return
        seen.add(self.asked)
        for instance in self.bindings.values():
            yield from instance._walk(seen)
        yield self


ABSENT = "absent: "
"""How the stand-in of a digest begins where a plan goes on without the thing."""

_absent: ContextVar[list[MissingError] | None] = ContextVar("absent", default=None)


@contextmanager
def absences() -> Iterator[list[MissingError]]:
    """Collect what settings name and this machine lacks, instead of raising it: for plans, which compute nothing.

    An instance made in here has a fingerprint that no stored value has, where anything lacks.
    """
    found: list[MissingError] = []
    token = _absent.set(found)
    try:
        yield found
    finally:
        _absent.reset(token)


def _digest(marker: Contents, value: Any) -> str:
    absent = _absent.get()
    try:
        return marker.digest(value)
    except MissingError as error:
        if absent is None:
            raise
        if str(error) not in map(str, absent):
            absent.append(error)
        return f"{ABSENT}{error.what}"


@cache
def library_version(name: str) -> str:
    """The installed version of a distribution, for fingerprints; `absent` where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
