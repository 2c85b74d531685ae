"""Finds operators, readers and writers by name, ours and anyone's, through Python entry points."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from sluice.errors import MissingError, PlanError, UsageError
from sluice.operator.frames import Frames, check_reduce
from sluice.operator.instance import ROOTS, Instance
from sluice.operator.spec import ITEM_SCOPES, OVER, PAIR_SCOPES, Cost, Inherited, Spec

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

        `over` asks for it, and for all it needs, over something else than one item (a key of `OVER`). Of `frames` the
        settings also say which (`fps`, `frames` or `keyframes`) and how their values become one (`reduce`).
        """
        passed = {key: dict(value) for key, value in (with_ or {}).items()}
        spec = self.get(name)
        if over is not None:
            _refuse_over(spec, over, alias)
        if over == "frames":
            instance = self._over_frames(spec, dict(settings or {}), alias, passed)
        else:
            instance = self._bind(spec, settings or {}, passed, _Place(over=over), alias)
        used = {i.spec.name for i in instance.closure()} - {name}
        for key in passed:
            if key not in used:
                raise PlanError(
                    f"{name} does not use {key!r}", fix=f"`with:` may name: {', '.join(sorted(used)) or '-'}"
                )
        return instance

    def _over_frames(
        self, spec: Spec, settings: dict[str, Any], alias: str | None, with_: Mapping[str, Mapping[str, Any]]
    ) -> Instance:
        frames = Frames.taken_from(settings)
        reduce = check_reduce(settings.pop("reduce", "mean"))
        if self._bind(spec, settings, with_, _Place()).cost == "header":
            what = f"{spec.name!r} looks at a file's header, and frames have none of their own"
            raise PlanError(what, fix="`sluice ops video` lists what is known of a video's")
        part = self._bind(spec, settings, with_, _Place(over="frames", frames=frames))
        whole = Instance(spec, part.settings, {"frames": part}, alias, "frames", reduce=reduce)
        _ = whole.outputs  # raises where they cannot be reduced so
        return whole

    def _bind(
        self,
        spec: Spec,
        settings: Mapping[str, Any],
        with_: Mapping[str, Mapping[str, Any]],
        place: _Place,
        alias: str | None = None,
    ) -> Instance:
        if spec.name in place.path:
            raise PlanError(f"operators need each other in a circle: {' → '.join((*place.path, spec.name))}")
        bindings = {}
        own = _validated(spec, settings)
        below = place.below(spec)
        for need in spec.needs if spec.kind != "deduplicator" else ():
            if not need.wanted(own):
                continue
            default = need.marked(Frames)
            if default is not None:
                there = replace(below, over="frames", frames=Frames.taken_from(dict(own), default))
                provider: Spec | None = self._of_images(spec, need.name)
            else:
                there, provider = below, self._provider(spec, need.name, place.over or spec.scope)
            if provider is not None:
                passed = with_.get(provider.name, {})
                inherited = {n: own[n] for n in provider.marked(Inherited) if n in own and n not in passed}
                bindings[need.name] = self._bind(provider, {**inherited, **passed}, with_, there)
        return Instance(spec, own, bindings, alias, place.over, place.frames)

    def _provider(self, spec: Spec, need: str, scope: str) -> Spec | None:
        scope = "frame" if scope == "frames" else scope
        if need in ROOTS.get(scope, frozenset()):
            return None
        found = self._features.get(("frame", need)) if scope == "frame" else None
        found = found or self._features.get(feature_key(spec.scope, need)) or self._operators.get(need)
        if found is None:
            known = [name for scope, name in self._features if scope == spec.scope]
            near = difflib.get_close_matches(need, [*known, *self._operators], n=1)
            raise PlanError(
                f"operator {spec.name!r} needs {need!r}, which nothing provides in scope {scope!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}",
            )
        if found.scope not in (spec.scope, "frame") and spec.scope in ITEM_SCOPES:
            raise PlanError(
                f"operator {spec.name!r} sees one {spec.scope} at a time and cannot take {need!r}, "
                f"which belongs to scope {found.scope!r}",
                fix="an operator of scope 'sample' may take measures of every scope",
            )
        return found

    def _of_images(self, spec: Spec, need: str) -> Spec:
        """The measure or feature of images that an operator of videos wants over frames: `image_clip` is `clip`."""
        found = self._operators.get(need) or self._features.get(feature_key("pair", need))
        if found is None or found.scope != "image":
            raise PlanError(
                f"operator {spec.name!r} needs {need!r} of frames, which nothing provides of images",
                fix="name a measure of images, or image_ and the name of a feature of theirs",
            )
        return found


@dataclass(frozen=True)
class _Place:
    """Where in a tree of needs an operator is bound: below which operators, over what."""

    path: tuple[str, ...] = ()
    over: str | None = None
    frames: Frames | None = None

    def below(self, spec: Spec) -> _Place:
        return replace(self, path=(*self.path, spec.name))


def _refuse_over(spec: Spec, over: str, alias: str | None) -> None:
    """Refuse `over` where it means nothing, or where its column would take the name of the items' own."""
    if over not in OVER:
        raise PlanError(f"there is no `over: {over}`", fix=f"one of: {', '.join(OVER)}")
    about = OVER[over]
    if spec.kind != "measure" or spec.scope != about.scope:
        what = f"sees one {spec.scope} at a time" if spec.kind == "measure" else f"is a {spec.kind}"
        raise PlanError(
            f"`over: {over}` is for measures of {about.scope}; {spec.name!r} {what}", fix="leave `over` out"
        )
    if alias is None:
        name = (about.modality or over) + spec.name.removeprefix(about.scope)
        raise PlanError(
            f"`over: {over}` needs a name for its column: {spec.name!r} is that of the items' values",
            fix=f"add as: {name}",
        )


def feature_key(scope: str, need: str) -> tuple[str, str]:
    """Scope and name of the feature that a need of an operator of this scope means.

    A pair has features of two scopes, so its operators say which: `image_clip`, `text_clip`.
    """
    if scope not in PAIR_SCOPES:
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
