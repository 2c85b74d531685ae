"""Steps that choose among the samples left: the best, the middle, as many of each kind, or some at random.

All of them look at every sample that is still kept when their turn comes, so each ends a pass; none reads
media. What they do not choose is dropped, under the step's name.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from sluice.recipe.quantities import wrong
from sluice.recipe.steps import Name, Nulls, Step, check_order, parse_order, step


class Selector(Step):
    """Base of the kinds of step that choose among all samples left.

    `wants` are the kinds of fields that `by` may name.
    """

    wants: ClassVar[tuple[str, ...]] = ()

    name: Name = None

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The fields it needs."""
        by = getattr(self, "by", None)
        return (by,) if by else ()

    @property
    def summary(self) -> str:
        """What it does, in a few words: also its name where it was given none."""
        return self.key


def _exactly_one(step: Step, example: str, *names: str) -> None:
    given = [name for name in names if getattr(step, name) is not None]
    if len(given) != 1:
        listed = " or ".join(f"`{name}`" for name in names)
        raise wrong(f"`{step.key}` takes either {listed}", example)


@step("sample")
class SampleStep(Selector):
    """A seeded random part: a `fraction`, or a `count`, of the samples, chosen by a hash of their ids."""

    fraction: float | None = Field(None, gt=0, le=1)
    count: int | None = Field(None, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        _exactly_one(self, "sample: {fraction: 0.5, seed: 7}", "fraction", "count")
        return self

    @property
    def summary(self) -> str:
        """The part that is taken."""
        return f"sample {self.fraction or self.count}"


@step("top")
class Top(Selector):
    """The samples with the highest values of a measure (`order: asc`: the lowest).

    Takes `count` samples, or a `fraction` of those that have a value (rounded to the nearest, halves up). Of
    equal values those with the lower id are taken. `nulls` says what becomes of samples without a value; those
    that are kept are not counted.
    """

    wants: ClassVar[tuple[str, ...]] = ("number",)

    by: str = Field(min_length=1)
    count: int | None = Field(None, ge=1)
    fraction: float | None = Field(None, gt=0, le=1)
    order: Literal["desc", "asc"] = "desc"
    nulls: Nulls = "drop"

    @model_validator(mode="after")
    def _agree(self) -> Self:
        _exactly_one(self, "top: {by: image_aesthetics, count: 1000}", "count", "fraction")
        return self

    @property
    def summary(self) -> str:
        """How many, by what."""
        part = self.count if self.count is not None else f"{self.fraction:.6g}"
        return f"{'top' if self.order == 'desc' else 'lowest'} {part} by {self.by}"


@step("quantile")
class Quantile(Selector):
    """The samples between two quantiles of a measure, both included.

    A quantile is interpolated between the two nearest values of the samples left (Hyndman and Fan 1996, type
    7, as NumPy's default). `low: 0.05` alone drops the lowest twentieth. Equal values share one fate.
    """

    wants: ClassVar[tuple[str, ...]] = ("number",)

    by: str = Field(min_length=1)
    low: float = Field(0.0, ge=0, le=1)
    high: float = Field(1.0, ge=0, le=1)
    nulls: Nulls = "drop"

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.low >= self.high or (self.low, self.high) == (0, 1):
            what = f"quantiles from {self.low:g} to {self.high:g} choose nothing"
            raise wrong(what, "give `low`, `high` or both, such as {by: image_sharpness, low: 0.1}")
        return self

    @property
    def summary(self) -> str:
        """Between which quantiles, of what."""
        return f"quantile {self.low:g} to {self.high:g} of {self.by}"


@step("balance")
class Balance(Selector):
    """At most so many samples of each label: of a text, a number, true and false, or of each cluster of a vector.

    `max_per` is the most of one label; with `count` in its place, the most is the highest for which no more
    than `count` samples are left in all, so that rare labels stay whole (of more labels than `count`, one
    sample each of that many). `clusters` groups a vector (an embedding) into that many clusters, which then
    are the labels (spherical k-means, by `seed`). Which samples of a label stay is `keep_by`: `random` (by
    `seed` and id), `first` in source order, or fields with a direction (`image_aesthetics desc`). Samples
    without a label go as `nulls` says; kept ones are not counted.
    """

    wants: ClassVar[tuple[str, ...]] = ("text", "number", "bool", "vector")

    by: str = Field(min_length=1)
    max_per: int | None = Field(None, ge=1)
    count: int | None = Field(None, ge=1)
    clusters: int | None = Field(None, ge=1)
    keep_by: Annotated[str, AfterValidator(check_order)] = "random"
    nulls: Nulls = "drop"
    seed: int = 0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        _exactly_one(self, "balance: {by: label, max_per: 100}", "max_per", "count")
        if self.keep_by.startswith("centroid"):
            raise wrong(f"`keep_by: {self.keep_by}` is for `dedup`", "take random, first or a field")
        return self

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The label, and the fields of `keep_by`."""
        return (self.by, *(field for field, _ in parse_order(self.keep_by) if self.keep_by != "random"))

    @property
    def summary(self) -> str:
        """How many of what."""
        part = f"{self.max_per} each" if self.max_per is not None else f"{self.count} in all"
        return f"balance by {self.by}, {part}"


@step("frequency")
class Frequency(Selector):
    """The samples whose value occurs often enough, or rarely enough, among the samples left.

    `min_count` and `max_count` are inclusive; `top` takes the samples of that many most frequent values (of
    equally frequent ones the lesser value first). Numbers and texts are compared exactly.
    """

    wants: ClassVar[tuple[str, ...]] = ("text", "number", "bool")

    by: str = Field(min_length=1)
    min_count: int | None = Field(None, ge=1)
    max_count: int | None = Field(None, ge=1)
    top: int | None = Field(None, ge=1)
    nulls: Nulls = "drop"

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.min_count, self.max_count, self.top) == (None, None, None):
            raise wrong("`frequency` chooses nothing", "give `min_count`, `max_count` or `top`")
        return self

    @property
    def summary(self) -> str:
        """How frequent, of what."""
        given = {"at least": self.min_count, "at most": self.max_count, "top": self.top}
        return f"frequency of {self.by} " + ", ".join(f"{k} {v}" for k, v in given.items() if v is not None)


@step("mixture")
class Mixture(Selector):
    """The samples of several labels in given proportions.

    `weights` gives each label's share (they need not add up to 1); samples of other labels, and without one,
    are dropped. Without `count` the mixture is as large as its scarcest label allows; with it, it has that
    many samples, as far as there are enough: a label that runs short is taken whole and nothing takes its
    place. A label that no sample has is an error. Shares become whole numbers by largest remainder (Hamilton's
    method; the earlier label of a tie). Within a label, samples are chosen by `seed` and id.
    """

    wants: ClassVar[tuple[str, ...]] = ("text", "number", "bool")

    by: str = Field(min_length=1)
    weights: dict[str, float] = Field(min_length=1)
    count: int | None = Field(None, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not all(0 <= weight < float("inf") for weight in self.weights.values()) or not any(
            self.weights.values()
        ):
            raise wrong("weights are numbers of 0 or more, not all 0", "weights: {photos: 3, drawings: 1}")
        return self

    @property
    def summary(self) -> str:
        """In which proportions."""
        return f"mixture by {self.by}, " + " : ".join(f"{k} {v:g}" for k, v in self.weights.items())
