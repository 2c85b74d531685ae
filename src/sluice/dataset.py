"""The fluent twin of the YAML recipe: each call returns a new `Dataset`, and both build the same `Recipe`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from sluice.recipe.build import build_recipe, build_step
from sluice.recipe.yaml_text import Document

if TYPE_CHECKING:
    from sluice.recipe.recipe import Recipe
    from sluice.recipe.steps import Step

Operator = str | dict[str, Any]
"""An operator by name, or `{name: {setting: value}}`."""


def read(path: str | os.PathLike[str], **source: Any) -> Dataset:
    """A dataset over the samples at `path`: a folder, file, pattern or URL.

    Keyword arguments are those of a recipe's `source`: `format`, `columns`, `settings`, `limit`. Nothing is read yet.

    >>> read("photos/").keep("image_width_px >= 256").recipe().steps[0].rule
    'image_width_px >= 256'
    """
    return Dataset({"path": os.fspath(path), **source})


@dataclass(frozen=True)
class Dataset:
    """A recipe in the making; immutable. `run` carries it out, `recipe` shows it.

    Every method raises `RecipeError` at once where what it is given is wrong.
    """

    _source: dict[str, Any]
    _steps: tuple[Step, ...] = ()
    _write: dict[str, Any] | None = None
    _settings: dict[str, Any] = field(default_factory=dict)

    def measure(self, *operators: Operator, **named: dict[str, Any]) -> Dataset:
        """Asks for measures: by name, as `{name: settings}`, or as `name={…settings}`.

        Rules imply the measures they look at; this is for settings and for columns that nobody judges.
        """
        return self._then("measure", [*operators, *({name: given} for name, given in named.items())])

    def keep(self, rule: str, *, nulls: Literal["drop", "keep"] = "drop", name: str | None = None) -> Dataset:
        """Keeps samples whose `rule` is true; `nulls` decides where it is null, `name` labels its drops."""
        return self._then("keep", {"rule": rule, "nulls": nulls, "name": name})

    def drop_items(
        self, rule: str, *, nulls: Literal["drop", "keep"] = "keep", name: str | None = None
    ) -> Dataset:
        """Drops the items inside samples for which `rule` is true."""
        return self._then("drop_items", {"rule": rule, "nulls": nulls, "name": name})

    def dedup(self, by: str, **settings: Any) -> Dataset:
        """Keeps one of each group of duplicates by the measure `by`.

        Settings: `distance` (bits) or `similarity` (cosine, Jaccard), `keep_by`, `semantics`, `level`,
        `drop_sample_above`, `with_`, `name`; see `sluice.recipe.Dedup`.
        """
        return self._then("dedup", {"by": by, **settings})

    def sample(self, fraction: float | None = None, *, count: int | None = None, seed: int = 0) -> Dataset:
        """Keeps a seeded random `fraction` in (0, 1], or `count`, of the samples."""
        return self._then("sample", {"fraction": fraction, "count": count, "seed": seed})

    def top(self, by: str, count: int | None = None, **settings: Any) -> Dataset:
        """Keeps the `count` samples with the highest values of `by`; settings: `fraction`, `order`, `nulls`."""
        return self._then("top", {"by": by, "count": count, **settings})

    def quantile(self, by: str, low: float = 0.0, high: float = 1.0, **settings: Any) -> Dataset:
        """Keeps the samples between two quantiles of `by`; setting: `nulls`."""
        return self._then("quantile", {"by": by, "low": low, "high": high, **settings})

    def balance(self, by: str, max_per: int | None = None, **settings: Any) -> Dataset:
        """Keeps at most `max_per` samples of each label; settings: `count`, `clusters`, `keep_by`, `seed`."""
        return self._then("balance", {"by": by, "max_per": max_per, **settings})

    def frequency(self, by: str, **settings: Any) -> Dataset:
        """Keeps samples whose value is frequent, or rare, enough: `min_count`, `max_count`, `top`."""
        return self._then("frequency", {"by": by, **settings})

    def mixture(self, by: str, weights: dict[str, float], **settings: Any) -> Dataset:
        """Keeps samples of several labels in the proportions of `weights`; settings: `count`, `seed`."""
        return self._then("mixture", {"by": by, "weights": weights, **settings})

    def map(self, operator: str, **settings: Any) -> Dataset:
        """Changes samples by a mapper."""
        return self._then("map", {operator: settings})

    def split(self, operator: str, **settings: Any) -> Dataset:
        """Turns each sample into several by a splitter."""
        return self._then("split", {operator: settings})

    def step(self, step: Step) -> Dataset:
        """Adds a step of any kind, such as one of a kind that has no method here."""
        return replace(self, _steps=(*self._steps, step))

    def write(self, path: str | os.PathLike[str], **settings: Any) -> Dataset:
        """Writes the survivors to `path`; settings are those of a recipe's `write` (`shard_size`, …)."""
        return replace(self, _write={"path": os.fspath(path), **settings})

    def settings(self, **settings: Any) -> Dataset:
        """Sets top-level fields of the recipe: `name`, `max_failed`, `item_errors`, `check`, `limits`."""
        return replace(self, _settings={**self._settings, **settings})

    def recipe(self) -> Recipe:
        """The recipe so far."""
        data = {"source": self._source, **self._settings}
        if self._write is not None:
            data["write"] = self._write
        return build_recipe(Document(data)).replace(steps=self._steps)

    def run(self, **options: Any) -> Any:
        """Carries the recipe out; `options` are those of `sluice.run.run` (`workers`, `strict`, …)."""
        from sluice.run import run  # engines load what a recipe alone does not need

        return run(self.recipe(), **options)

    def _then(self, key: str, payload: Any) -> Dataset:
        return self.step(build_step(key, payload, f"step {len(self._steps)}"))
