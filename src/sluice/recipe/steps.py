"""The kinds of step a recipe may have; one class declares a kind, and everything else follows from it.

To add a kind, write one class with `@step("its_yaml_key")`: loading, printing, errors and the editors' schema
read `STEP_KINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SkipValidation,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from sluice.errors import RuleError
from sluice.recipe.expression import Rule
from sluice.recipe.grammar import parse
from sluice.recipe.quantities import wrong


@dataclass(frozen=True)
class Position:
    """Where something of a recipe was written, for later errors. It plays no part in equality.

    `fields` says of the parts below it where they were written (`rule`, or an operator's number in its
    list): `file:line`, or the option that set them.
    """

    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    fields: Mapping[str, str] = field(default_factory=dict, compare=False)

    def of(self, part: object) -> str:
        """Where a part was written, else where the whole was."""
        return self.fields.get(str(part), str(self))

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


At = Annotated[SkipValidation[Position], Field(default=Position(), exclude=True, repr=False)]


class Part(BaseModel):
    """Base of everything in a recipe: frozen, and no key of it goes unread."""

    # Infinite settings stay what they are in plain data; they would become null.
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, ser_json_inf_nan="constants"
    )


class Step(Part):
    """Base of the kinds of step. `key` is the step's word in YAML.

    `bare` names the field that a bare value (no mapping) gives: `keep: RULE` is `keep: {rule: RULE}`. A step
    that is `off` is no step of the recipe: `--set steps.2.keep.off=false` turns it on.
    """

    key: ClassVar[str] = ""
    bare: ClassVar[str] = ""

    off: bool = Field(False, exclude=True)
    at: At

    @property
    def drops_items(self) -> bool:
        """Whether it drops items inside samples, so that later rules see fewer than there are."""
        return False

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, data: object) -> object:
        return {cls.bare: data} if cls.bare and not cls._is_whole(data) else data

    @classmethod
    def _is_whole(cls, data: object) -> bool:
        return isinstance(data, dict)

    def payload(self, *, full: bool = False) -> Any:
        """What stands behind the step's word in YAML: in its shortest form, or with every default."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=not full)
        return data[self.bare] if not full and set(data) == {self.bare} else data

    def placed(self, position: Callable[[tuple[str | int, ...]], Position]) -> Self:
        """The same step with its position; `position` gives that of a path below the step."""
        return self.model_copy(update={"at": position(())})


STEP_KINDS: dict[str, type[Step]] = {}
"""Every kind of step by its word in YAML, in order of declaration."""

_Kind = TypeVar("_Kind", bound=Step)


def step(key: str, *, bare: str = "") -> Callable[[type[_Kind]], type[_Kind]]:
    """Declares a kind of step by its word in YAML; `bare` is the field that a bare value gives."""

    def register(kind: type[_Kind]) -> type[_Kind]:
        kind.key, kind.bare = key, bare
        STEP_KINDS[key] = kind
        return kind

    return register


def _check_rule(text: str, info: ValidationInfo) -> str:
    try:
        parse(text)
    except RuleError as error:
        # A loader collects the errors of a whole recipe; elsewhere the first one is raised as it is.
        if info.context is None:
            raise
        info.context["rules"].append(error)
    return text


RuleText = Annotated[str, AfterValidator(_check_rule)]
Nulls = Literal["drop", "keep"]
Name = Annotated[str | None, Field(min_length=1)]


class OperatorRef(Part):
    """An operator by name, with its settings.

    `as_` names its column (needed where one operator appears twice), `with_` holds settings of its
    dependencies by their names, `when="all"` measures what a rule before it has already dropped, too.
    `over="document"` measures all texts of a sample as one, under a name of its own (`as`). `over="frames"` lets a
    measure of images look at frames of each video; among the settings are then which frames (`fps`, `frames` or
    `keyframes`) and how their values become one (`reduce`: `mean` by default).
    """

    name: str = Field(min_length=1)
    settings: dict[str, Any] = {}
    as_: Name = Field(None, alias="as")
    with_: dict[str, dict[str, Any]] = Field({}, alias="with")
    when: Literal["gated", "all"] = "gated"
    over: Literal["document", "frames"] | None = None
    at: At

    RESERVED: ClassVar[tuple[str, ...]] = ("as", "with", "when", "over")

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, data: object) -> object:
        if isinstance(data, str):
            return {"name": data}
        if not isinstance(data, dict):
            raise wrong(f"{data!r} is not an operator", "write its name, or {name: {setting: value}}")
        if "name" in data and isinstance(data["name"], str):
            return data
        if len(data) != 1:
            fix = "indent the settings below the operator's name: {name: {setting: value}}"
            raise wrong(f"an operator is one name with its settings, not {len(data)} keys", fix)
        ((name, settings),) = data.items()
        if settings is not None and not isinstance(settings, dict):
            raise wrong(f"the settings of `{name}` must be a mapping, not {settings!r}", "{setting: value}")
        own = dict(settings or {})
        reserved = {key: own.pop(key) for key in cls.RESERVED if key in own}
        return {"name": name, "settings": own, **reserved}

    @model_serializer(mode="plain")
    def _dump(self) -> Any:
        settings: dict[str, Any] = dict(self.settings)
        if self.as_ is not None:
            settings["as"] = self.as_
        if self.with_:
            settings["with"] = self.with_
        if self.when != "gated":
            settings["when"] = self.when
        if self.over is not None:
            settings["over"] = self.over
        return {self.name: settings} if settings else self.name

    @property
    def column(self) -> str:
        """The name of its column: `as`, else the operator's own."""
        return self.as_ or self.name


@step("measure", bare="operators")
class Measure(Step):
    """Measures asked for by name. Rules imply theirs; this is for settings, and for columns nobody judges."""

    operators: tuple[OperatorRef, ...] = Field(min_length=1)

    @classmethod
    def _is_whole(cls, data: object) -> bool:
        return isinstance(data, dict) and set(data) - {"off"} == {"operators"}

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, data: Any) -> Any:
        whole = data if cls._is_whole(data) else {"operators": data}
        if isinstance(whole["operators"], str | dict):
            whole = {**whole, "operators": [whole["operators"]]}
        return whole

    def placed(self, position: Callable[[tuple[str | int, ...]], Position]) -> Self:
        """The same step with its position and that of each operator."""
        operators = tuple(
            each.model_copy(update={"at": position((number,))}) for number, each in enumerate(self.operators)
        )
        return self.model_copy(update={"at": position(()), "operators": operators})


class _Operation(Step):
    operator: OperatorRef

    @classmethod
    def _is_whole(cls, data: object) -> bool:
        return isinstance(data, dict) and set(data) - {"off"} == {"operator"}


@step("map", bare="operator")
class Map(_Operation):
    """Changes samples by one mapper; later rules see the new version of its items."""


@step("split", bare="operator")
class Split(_Operation):
    """Turns each sample into several by one splitter."""


@step("keep", bare="rule")
class Keep(Step):
    """Keeps samples whose rule is true; `nulls` decides where it is null. `name` labels its drops."""

    rule: RuleText
    nulls: Nulls = "drop"
    name: Name = None

    @property
    def parsed(self) -> Rule:
        """The rule, read; its errors say where it was written."""
        return parse(self.rule, self.at.of("rule"))


@step("drop_items", bare="rule")
class DropItems(Step):
    """Drops the items inside samples for which the rule is true; `nulls` decides where it is null."""

    rule: RuleText
    nulls: Nulls = "keep"
    name: Name = None

    @property
    def parsed(self) -> Rule:
        """The rule, read; its errors say where it was written."""
        return parse(self.rule, self.at.of("rule"))

    @property
    def drops_items(self) -> bool:
        """Always."""
        return True


KEEP_POLICIES = ("first", "random", "centroid_far", "centroid_near")
KEEP_ORDERS = {"highest_resolution": "video_height_px desc, video_width_px desc, video_bitrate desc"}
"""Orders by fields that have a name of their own."""
_ORDER = re.compile(r"\s*(?:\"([^\"]+)\"|([A-Za-z_][\w.]*))\s+(asc|desc)\s*", re.IGNORECASE)


def parse_order(text: str) -> tuple[tuple[str, bool], ...]:
    """The fields of `width desc, size asc`, each with whether the largest comes first; () for a policy."""
    if text in KEEP_POLICIES:
        return ()
    found = [_ORDER.fullmatch(part) for part in text.split(",")]
    if not all(found):
        names = ", ".join([*KEEP_POLICIES, *KEEP_ORDERS])
        fix = f"write one of {names}, or `image_width_px desc` (the largest is kept; or asc)"
        raise wrong(f"{text!r} does not say which of several duplicates to keep", fix)
    return tuple((match[1] or match[2], match[3].lower() == "desc") for match in found if match)


def check_order(text: str) -> str:
    """The text of a `keep_by`, its fields written out, once it was found to say something."""
    text = KEEP_ORDERS.get(text, text)
    parse_order(text)
    return text


@step("dedup", bare="by")
class Dedup(Step):
    """Keeps one of each group of duplicates by a measure: equal values, or near ones.

    `distance` is in bits for hashes, `similarity` in (0, 1] a cosine for vectors and the Jaccard similarity
    for sketches of texts; with neither, values must be equal. `with` holds further settings of the
    deduplicator (of `cosine`: `floor`, `exact_below`, `clusters`, `spill`, `trials`, `seed`, `device`).

    Which one stays is `keep_by`: `first` in source order, `random`, fields with a direction
    (`image_width_px desc`), of clips `highest_resolution` (the highest, of these the widest, of these the one with the
    most bits a second), or for vectors `centroid_far` or `centroid_near` (of the centroid of their
    cluster); of equally preferred ones the lowest id. `greedy` leaves no kept pair within the threshold;
    `components` keeps one of each connected group.

    At `level: item` every item is compared with those of other samples, and the duplicates are dropped inside
    their samples: in the order of `keep_by` an item falls that an item kept before it, in another sample,
    matches; copies within one sample stay. With `drop_sample_above` no item is dropped, and instead a sample
    falls when more than that share of its compared items are duplicates of items in samples that stay.
    """

    by: str = Field(min_length=1)
    distance: int | None = Field(None, ge=0)
    similarity: float | None = Field(None, gt=0, le=1)
    keep_by: Annotated[str, AfterValidator(check_order)] = "first"
    semantics: Literal["greedy", "components"] = "greedy"
    level: Literal["sample", "item"] = "sample"
    drop_sample_above: float | None = Field(None, ge=0, lt=1)
    with_: dict[str, Any] = Field({}, alias="with")
    name: Name = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.distance is not None and self.similarity is not None:
            fix = "`distance` is for hashes (bits), `similarity` for vectors (cosine); keep one"
            raise wrong("`distance` and `similarity` exclude each other", fix)
        if self.drop_sample_above is not None and self.level != "item":
            raise wrong("`drop_sample_above` needs `level: item`", "add level: item, or leave it out")
        return self

    @property
    def drops_items(self) -> bool:
        """Whether it drops the duplicate items inside samples."""
        return self.level == "item" and self.drop_sample_above is None

    @property
    def order(self) -> tuple[tuple[str, bool], ...]:
        """The fields of `keep_by`, each with whether the largest comes first; () for a policy."""
        return parse_order(self.keep_by)
