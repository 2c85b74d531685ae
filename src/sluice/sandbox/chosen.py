"""A trainer, inferencer or evaluator as a hook's setting: its name, or its name with its own settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError, ValidationInfo

from sluice.errors import UsageError
from sluice.recipe.nearest import did_you_mean
from sluice.recipe.quantities import wrong
from sluice.sandbox.registry import Component, Kind, registry
from sluice.sandbox.train.apart import Apart


@dataclass(frozen=True)
class Chosen:
    """A component with the settings that a workflow gives it, checked."""

    component: Component
    given: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    def make(self) -> Any:
        """The component, ready to work: in a process of its own where it has a `timeout_s`."""
        made = self.component.make(self.given)
        timeout_s = getattr(made, "timeout_s", None)
        return made if timeout_s is None else Apart(self.component, self.given, made, timeout_s)


def _choose(kind: Kind) -> Callable[[object, ValidationInfo], Chosen]:
    def choose(value: object, info: ValidationInfo) -> Chosen:
        if isinstance(value, Chosen):
            return value
        name, given = _split(value, kind)
        known = (info.context or {}).get("components") or registry()
        try:
            component = known.get(kind, name)
        except UsageError as error:
            raise wrong(error.what, error.fix) from None
        try:
            # Made and thrown away: what its constructor refuses is told before anything runs.
            component.target(**component.checked(given))
        except ValidationError as error:
            raise _told(component, error) from None
        except UsageError as error:
            raise wrong(f"{name}: {error.what}", error.fix) from None
        return Chosen(component, given)

    return choose


def _split(value: object, kind: Kind) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, given),) = value.items()
        if given is None or isinstance(given, Mapping):
            return str(name), dict(given or {})
    raise wrong(f"this names no {kind}", f"write its name, or {{name: {{setting: value}}}}: {kind}: command")


def _told(component: Component, error: ValidationError) -> Exception:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        fix = did_you_mean(name, component.settings.model_fields, "settings")
        return wrong(f"{component.name} has no setting `{name}`", fix)
    if first["type"] == "missing":
        return wrong(f"{component.name} needs the setting `{name}`")
    told, fix = first["msg"], ""
    if first["type"] == "sluice":
        told, fix = first["ctx"]["what"], first["ctx"]["fix"]
    return wrong(f"{component.name}: `{name}`: {told}", fix)


TrainerSetting = Annotated[Chosen, BeforeValidator(_choose("trainer"))]
"""`trainer: image_text`, or `trainer: {command: {run: […]}}`."""

InferencerSetting = Annotated[Chosen, BeforeValidator(_choose("inferencer"))]
"""`inferencer: {command: …}`."""

EvaluatorSetting = Annotated[Chosen, BeforeValidator(_choose("evaluator"))]
"""`evaluator: image_text`, or `evaluator: {command: …}`."""
