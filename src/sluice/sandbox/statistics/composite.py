"""Composite metrics: weighted means of others, declared in YAML.

```yaml
about: {source: where the definition comes from, licence: Apache-2.0}
ranges:                         # optional; a metric with a range counts as (value - low) / (high - low)
  scene: [0.0, 0.8222]
composites:                     # each may use those before it
  semantic: {of: {scene: 1, color: 1}}
  board: {of: {quality: 4, semantic: 1}}
```
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from sluice.errors import RecipeError, UsageError
from sluice.recipe.nearest import did_you_mean
from sluice.recipe.problems import one_error, problems
from sluice.recipe.quantities import wrong
from sluice.recipe.steps import Part
from sluice.recipe.yaml_text import read_yaml
from sluice.sandbox.experiment import Score
from sluice.sandbox.train.protocol import Better

_SHIPPED = Path(__file__).with_name("composites")
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class About(Part):
    """Where a definition comes from."""

    source: str
    licence: str


class Composite(Part):
    """One composite: the weights of what it is the mean of; only their ratios matter."""

    of: dict[str, Weight] = Field(min_length=1)


class _Declared(Part):
    about: About | None = None
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    composites: dict[str, Composite] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> _Declared:
        for metric, (low, high) in self.ranges.items():
            if not (math.isfinite(low) and low < high < math.inf):
                raise wrong(f"the range of {metric} is {low:g} to {high:g}", "give [lowest, highest]")
        names = list(self.composites)
        for at, (name, composite) in enumerate(self.composites.items()):
            later = [each for each in composite.of if each in names[at:]]
            if later:
                raise wrong(f"{name} uses {later[0]}, which is not above it", "write it further up")
        return self


@dataclass(frozen=True)
class Composites:
    """Composite metrics and the ranges that their members are brought to 0 to 1 by."""

    ranges: Mapping[str, tuple[float, float]]
    composites: Mapping[str, Composite]
    about: About | None = None

    @classmethod
    def read(cls, name: str) -> Composites:
        """Those of a YAML file, or the shipped ones of a name (`vbench`); `RecipeError` with file and line."""
        shipped = {path.stem: path for path in _SHIPPED.glob("*.yaml")}
        path = shipped.get(name, Path(name))
        if not path.is_file():
            raise UsageError(
                f"there is no file {name!r} of composites", fix=did_you_mean(name, shipped, "shipped")
            )
        return cls.loads(path.read_text(encoding="utf-8"), str(path))

    @classmethod
    def loads(cls, text: str, file: str = "composites") -> Composites:
        """As `read`, from the YAML itself; `file` names it in errors."""
        document = read_yaml(text, file)
        if not isinstance(document.data, dict):
            raise RecipeError(
                "composites are a mapping", where=document.where(()), fix="start with `composites:`"
            )
        try:
            declared = _Declared.model_validate(document.data)
        except ValidationError as error:
            raise one_error(problems(error, _Declared, document, ()), "composites") from None
        return cls(declared.ranges, declared.composites, declared.about)

    @property
    def better(self) -> dict[str, Better]:
        """The composites, of all of which higher is better."""
        return dict.fromkeys(self.composites, "higher")

    def of(self, values: Mapping[str, float]) -> dict[str, float]:
        """The composites whose members are all there.

        A composite among the values is taken as it is, and a metric without a range too; values outside their
        range are not cut.
        """
        known = {name: self._ranged(name, value) for name, value in values.items()}
        for name, composite in self.composites.items():
            if name not in known and all(member in known for member in composite.of):
                total = math.fsum(weight * known[member] for member, weight in composite.of.items())
                known[name] = total / math.fsum(composite.of.values())
        return {name: known[name] for name in self.composites if name in known}

    def scores(self, scores: Iterable[Score]) -> list[Score]:
        """The composites of each run as further scores; where a member is missing there is no value, and why."""
        runs: dict[tuple[str, int], dict[str, Score]] = {}
        for score in scores:
            runs.setdefault((score.arm, score.seed), {})[score.metric] = score
        return [score for (arm, seed), known in runs.items() for score in self._of_run(arm, seed, known)]

    def _of_run(self, arm: str, seed: int, known: Mapping[str, Score]) -> Iterable[Score]:
        found = self.of({name: s.value for name, s in known.items() if s.value is not None})
        for name, composite in self.composites.items():
            if name in known:
                continue
            if name in found:
                yield Score(arm, seed, name, found[name])
            else:
                yield Score(arm, seed, name, None, _missing(composite, known, found))

    def _ranged(self, name: str, value: float) -> float:
        low, high = self.ranges.get(name, (0.0, 1.0))
        return (value - low) / (high - low)


def _missing(composite: Composite, known: Mapping[str, Score], found: Mapping[str, Any]) -> str:
    member = next(m for m in composite.of if m not in found and (m not in known or known[m].value is None))
    return f"{member}: {known[member].reason if member in known else 'no score'}"
