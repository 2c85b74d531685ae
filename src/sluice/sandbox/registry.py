"""Finds hooks, trainers, inferencers and evaluators by name, ours and anyone's, through Python entry points.

```python
@hook(gives=("scores",))
def evaluate_model(job: Job, models: pa.Table, *, evaluator: dict[str, Any]) -> dict[str, Any]: ...

@trainer
class image_text:
    data_format = "webdataset"
    def __init__(self, *, steps: int = 300) -> None: ...
    def train(self, data, output, *, seed, log) -> Trained: ...
```
The first parameter of a hook is its job; further positional parameters name the results it takes (a default
makes one optional); keyword-only parameters are settings. Those of a component are of its `__init__`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, create_model

from sluice.errors import MissingError, UsageError
from sluice.recipe.nearest import did_you_mean

Kind = Literal["hook", "trainer", "inferencer", "evaluator"]
Declared = TypeVar("Declared", bound=Callable[..., Any])

GROUP = "sluice.sandbox"
"""Entry point group: each value names a module or package whose declarations are hooks and components."""

_NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Outlook:
    """What a job would do: `runs` in all, of which some are `ended`; `at_once` of them at a time.

    `seconds` is what one run takes (measured in those that ended, else as expected; None where nobody knows), `gpus`
    how many it holds, `price_per_hour` what an hour of it costs. `results` are foreseen: a name's value as later jobs'
    outlooks take it. `notes` are for people.
    """

    runs: int = 1
    ended: int = 0
    at_once: int = 1
    seconds: float | None = None
    gpus: int = 0
    price_per_hour: float | None = None
    results: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Foresight = Callable[[Any, Mapping[str, Any], Mapping[str, Any]], Outlook]
"""From a job, results and settings to what would be done."""


class DeclarationError(TypeError):
    """A hook's or component's declaration cannot be understood; names it and what to change."""


@dataclass(frozen=True, eq=False)
class Component:
    """A hook, trainer, inferencer or evaluator as declared.

    `takes` names the results that a hook takes, with whether it must have them; `gives` those that it returns.
    `resumes`: it finds in its folder what a killed try left, and goes on from there; otherwise the folder is
    emptied first. `outlook` tells what it would do, without doing it. `origin` is the distribution that brought it.
    """

    name: str
    kind: Kind
    target: Callable[..., Any]
    takes: Mapping[str, bool] = field(default_factory=dict)
    gives: tuple[str, ...] = ()
    resumes: bool = False
    outlook: Foresight | None = None
    origin: str = "sluice"

    @cached_property
    def settings(self) -> type[BaseModel]:
        """The model of its settings; unknown ones are refused."""
        config = ConfigDict(
            extra="forbid", frozen=True, protected_namespaces=(), arbitrary_types_allowed=True
        )
        fields = _fields(self.name, self.target)
        made: type[BaseModel] = create_model(f"{self.name}_settings", __config__=config, **fields)
        return made

    @property
    def doc(self) -> str:
        """What it does."""
        return inspect.getdoc(self.target) or ""

    @property
    def module(self) -> str:
        """The module of the declaration."""
        return self.target.__module__

    def checked(
        self, settings: Mapping[str, Any], context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The settings with defaults, as the target takes them; pydantic's `ValidationError` where they are wrong.

        `context` is pydantic's; `components` in it is the registry that settings naming components look in.
        """
        model = self.settings.model_validate(dict(settings), context=dict(context or {}))
        return {name: getattr(model, name) for name in type(model).model_fields}

    def make(self, settings: Mapping[str, Any]) -> Any:
        """A trainer, inferencer or evaluator with these settings."""
        return self.target(**self.checked(settings))


def hook(
    *, gives: tuple[str, ...], resumes: bool = False, outlook: Foresight | None = None
) -> Callable[[Declared], Declared]:
    """Declare a hook: a function from a job, results and settings to a dict with the results named in `gives`.

    A result is JSON data (0, false and empty ones too), an Arrow table, or a path below the job's folder. `outlook`
    is for `sluice sandbox plan`: from the job, the results that it would take (as far as they are known or foreseen)
    and its settings it tells what would be done and what would come of it.
    """

    def declare(target: Declared) -> Declared:
        return _attach(target, "hook", _taken(target), gives, resumes, outlook)

    return declare


def trainer(target: Declared) -> Declared:
    """Declare a `Trainer` class under its own name."""
    return _attach(target, "trainer")


def inferencer(target: Declared) -> Declared:
    """Declare an `Inferencer` class under its own name."""
    return _attach(target, "inferencer")


def evaluator(target: Declared) -> Declared:
    """Declare an `Evaluator` class under its own name."""
    return _attach(target, "evaluator")


def _attach(
    target: Declared,
    kind: Kind,
    takes: Mapping[str, bool] | None = None,
    gives: tuple[str, ...] = (),
    resumes: bool = False,
    outlook: Foresight | None = None,
) -> Declared:
    made = Component(target.__name__, kind, target, takes or {}, gives, resumes, outlook)
    target.component = made  # type: ignore[attr-defined]
    return target


def _taken(target: Callable[..., Any]) -> dict[str, bool]:
    named = [p for p in inspect.signature(target).parameters.values() if p.kind in _NAMED]
    if not named:
        raise DeclarationError(f"{target.__name__}: the first parameter of a hook is its job")
    return {p.name: p.default is inspect.Parameter.empty for p in named[1:]}


def _fields(name: str, target: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only parameters (of `__init__` where it is a class) as fields of a model."""
    if isinstance(target, type) and "__init__" not in vars(target):
        return {}
    function = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    hints = typing.get_type_hints(function, include_extras=True)
    found: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise DeclarationError(f"{name}: *args and **kwargs hide misspelt settings; name each one")
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.name not in hints:
            raise DeclarationError(f"{name}: setting {parameter.name!r} needs an annotation")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        found[parameter.name] = (hints[parameter.name], default)
    return found


class Registry:
    """Hooks and components by kind and name. `add` takes declarations made elsewhere (a script, a test)."""

    def __init__(self, components: Iterable[Component] = ()) -> None:
        self._known: dict[tuple[Kind, str], Component] = {}
        for component in components:
            self.add(component)

    def add(self, component: Component) -> None:
        """Register one; two of one kind and name are an error that names both modules."""
        known = self._known.setdefault((component.kind, component.name), component)
        if known.target is not component.target:
            raise UsageError(
                f"{component.kind} {component.name!r} is declared twice: "
                f"in {known.module} and in {component.module}",
                fix="rename one, or uninstall the package that brings it",
            )

    def names(self, kind: Kind) -> list[str]:
        """The names of one kind, sorted."""
        return sorted(name for of, name in self._known if of == kind)

    def get(self, kind: Kind, name: str) -> Component:
        """The component of that name, or `UsageError` with the nearest name."""
        found = self._known.get((kind, name))
        if found is None:
            raise UsageError(
                f"there is no {kind} {name!r}", fix=did_you_mean(name, self.names(kind), f"{kind}s")
            )
        return found


@cache
def registry() -> Registry:
    """All hooks and components installed on this machine, found through the entry points; loaded once a process."""
    found = Registry()
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: (p.value, p.name)):
        origin = point.dist.name if point.dist else "?"
        try:
            components = list(declarations(point.value))
        except ImportError as error:
            raise MissingError(
                f"the sandbox components of {origin!r} cannot be loaded: {error}",
                where=f"entry point {point.name!r} = {point.value!r}",
                fix=f"repair or remove it: pip install --force-reinstall {origin}, or pip uninstall {origin}",
            ) from error
        for component in components:
            object.__setattr__(component, "origin", origin)
            found.add(component)
    return found


def declarations(module_name: str) -> Iterator[Component]:
    """All that is declared in a module, or in a package and below it."""
    module = importlib.import_module(module_name)
    names = [i.name for i in pkgutil.walk_packages(getattr(module, "__path__", ()), module_name + ".")]
    for each in (module, *map(importlib.import_module, names)):
        for value in vars(each).values():
            component = getattr(value, "component", None)
            if isinstance(component, Component) and component.module == each.__name__:
                yield component
