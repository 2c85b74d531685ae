"""Finds operators, readers and writers by name, ours and anyone's, through Python entry points."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from sluice.errors import MissingError, PlanError, UsageError
from sluice.operator.instance import ROOTS, Instance
from sluice.operator.spec import ITEM_SCOPES, OVER, Cost, Inherited, Spec

GROUP = "sluice.operators"
"""Entry point group: each value names a module or package whose declarations are operators."""


class Registry:
    """Operators by name. `add` takes declarations made elsewhere (a script, a test)."""

    def __init__(self, specs: Iterable[Spec] = ()) -> None:
        self._operators: dict[str, Spec] = {}
        self._features: dict[tuple[str, str], Spec] = {}
        for spec in specs:
            self.add(spec)

    def add(self, spec: Spec) -> None:
        """Register one operator; two of one name are an error that names both modules."""
        table: dict[Any, Spec] = self._features if spec.kind == "feature" else self._operators
        key: Any = (spec.scope, spec.name) if spec.kind == "feature" else spec.name
        known = table.get(key)
        if known is not None and known.target is not spec.target:
            raise UsageError(
                f"operator {spec.name!r} is declared twice: in {known.module} and in {spec.module}",
                fix="rename one, or uninstall the package that brings it",
            )
        table[key] = spec

    def __iter__(self) -> Iterator[Spec]:
        return iter(sorted(self._operators.values(), key=lambda s: s.name))

    def features(self) -> Iterator[Spec]:
        """All features, by scope and name."""
        return iter(spec for _, spec in sorted(self._features.items()))

    def __contains__(self, name: str) -> bool:
        return name in self._operators

    def get(self, name: str) -> Spec:
        """The operator of that name, or an error with the nearest name."""
        if name in self._operators:
            return self._operators[name]
        near = difflib.get_close_matches(name, self._operators, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`sluice ops` lists all operators"
        raise UsageError(f"there is no operator {name!r}", fix=hint)

    def cost(self, spec: Spec) -> Cost:
        """What an operator costs with all that it needs, its settings left at their defaults.

        Its own cost where a setting has no default.
        """
        if spec.kind == "deduplicator" or any(f.is_required() for f in spec.settings.model_fields.values()):
            return spec.cost
        return self.bind(spec.name).cost

    def bind(
        self,
        name: str,
        settings: Mapping[str, Any] | None = None,
        *,
        alias: str | None = None,
        with_: Mapping[str, Mapping[str, Any]] | None = None,
        over: str | None = None,
    ) -> Instance:
        """An operator with checked settings and resolved dependencies; `with_` holds settings by feature.

        `over` asks for it, and for all it needs, over the sample as a whole (a key of `OVER`).
        """
        passed = {key: dict(value) for key, value in (with_ or {}).items()}
        if over is not None:
            _refuse_over(self.get(name), over, alias)
        instance = self._bind(self.get(name), settings or {}, alias, passed, (), over)
        used = {i.spec.name for i in instance.closure()} - {name}
        for key in passed:
            if key not in used:
                raise PlanError(
                    f"{name} does not use {key!r}", fix=f"`with:` may name: {', '.join(sorted(used)) or '-'}"
                )
        return instance

    def _bind(
        self,
        spec: Spec,
        settings: Mapping[str, Any],
        alias: str | None,
        with_: Mapping[str, Mapping[str, Any]],
        path: tuple[str, ...],
        over: str | None,
    ) -> Instance:
        if spec.name in path:
            raise PlanError(f"operators need each other in a circle: {' → '.join((*path, spec.name))}")
        bindings = {}
        own = _validated(spec, settings)
        for need in spec.needs if spec.kind != "deduplicator" else ():
            if not need.wanted(own):
                continue
            provider = self._provider(spec, need.name, over or spec.scope)
            if provider is not None:
                passed = with_.get(provider.name, {})
                inherited = {n: own[n] for n in provider.marked(Inherited) if n in own and n not in passed}
                bindings[need.name] = self._bind(
                    provider, {**inherited, **passed}, None, with_, (*path, spec.name), over
                )
        return Instance(spec, own, bindings, alias, over)

    def _provider(self, spec: Spec, need: str, scope: str) -> Spec | None:
        if need in ROOTS.get(scope, frozenset()):
            return None
        found = self._features.get(feature_key(spec.scope, need)) or self._operators.get(need)
        if found is None:
            known = [name for scope, name in self._features if scope == spec.scope]
            near = difflib.get_close_matches(need, [*known, *self._operators], n=1)
            raise PlanError(
                f"operator {spec.name!r} needs {need!r}, which nothing provides in scope {scope!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}",
            )
        if found.scope != spec.scope and spec.scope in ITEM_SCOPES:
            raise PlanError(
                f"operator {spec.name!r} sees one {spec.scope} at a time and cannot take {need!r}, "
                f"which belongs to scope {found.scope!r}",
                fix="an operator of scope 'sample' may take measures of every scope",
            )
        return found


def _refuse_over(spec: Spec, over: str, alias: str | None) -> None:
    """Refuse `over` where it means nothing, or where its column would take the name of the items' own."""
    if over not in OVER:
        raise PlanError(f"there is no `over: {over}`", fix=f"one of: {', '.join(OVER)}")
    if spec.kind != "measure" or spec.scope != OVER[over].scope:
        what = f"sees one {spec.scope} at a time" if spec.kind == "measure" else f"is a {spec.kind}"
        raise PlanError(
            f"`over: {over}` is for measures of {OVER[over].scope}; {spec.name!r} {what}",
            fix="leave `over` out",
        )
    if alias is None:
        name = over + spec.name.removeprefix(OVER[over].scope)
        raise PlanError(
            f"`over: {over}` needs a name for its column: {spec.name!r} is that of the items' values",
            fix=f"add as: {name}",
        )


def feature_key(scope: str, need: str) -> tuple[str, str]:
    """Scope and name of the feature that a need of an operator of this scope means.

    A pair has features of two scopes, so its operators say which: `image_clip`, `text_clip`.
    """
    if scope != "pair":
        return scope, need
    of, _, name = need.partition("_")
    return of, name


def _validated(spec: Spec, settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        model = spec.settings.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        near = difflib.get_close_matches(name, spec.settings.model_fields, n=1)
        known = ", ".join(spec.settings.model_fields) or "none"
        message = "unknown setting" if first["type"] == "extra_forbidden" else first["msg"]
        raise PlanError(
            f"{spec.name}: setting {name!r}: {message}",
            fix=f"did you mean {near[0]!r}?" if near and near[0] != name else f"settings: {known}",
        ) from error
    return model.model_dump(mode="json")


@cache
def registry() -> Registry:
    """All operators installed on this machine, found through the entry points; loaded once a process."""
    found = Registry()
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: (p.value, p.name)):
        origin = point.dist.name if point.dist else "?"
        try:
            specs = list(_declarations(point.value))
        except ImportError as error:
            raise MissingError(
                f"the operators of {origin!r} cannot be loaded: {error}",
                where=f"entry point {point.name!r} = {point.value!r}",
                fix=f"repair or remove it: pip install --force-reinstall {origin}, or pip uninstall {origin}",
            ) from error
        for spec in specs:
            object.__setattr__(spec, "origin", origin)
            found.add(spec)
    return found


def _declarations(module_name: str) -> Iterator[Spec]:
    module = importlib.import_module(module_name)
    yield from _specs_of(module)
    for info in pkgutil.walk_packages(getattr(module, "__path__", ()), module_name + "."):
        yield from _specs_of(importlib.import_module(info.name))


def _specs_of(module: ModuleType) -> Iterator[Spec]:
    for value in vars(module).values():
        spec = getattr(value, "spec", None)
        if isinstance(spec, Spec) and spec.module == module.__name__:
            yield spec
