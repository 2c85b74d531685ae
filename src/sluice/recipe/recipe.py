"""The one `Recipe` that YAML and Python both build: source, steps, output and what may go wrong."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializeAsAny,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from sluice.recipe.quantities import parse_share, parse_size, print_size
from sluice.recipe.steps import At, Part, Step
from sluice.recipe.yaml_text import Dumper

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(print_size),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["1GB", "500MB", "1GiB"]}),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema({"type": ["string", "number"], "examples": ["1%", 0.01]}),
]
# In YAML `null` is no text; the policy of that name is meant either way.
ItemErrors = Annotated[
    Literal["drop_item", "fail", "null"], BeforeValidator(lambda value: "null" if value is None else value)
]


class _Located(Part):
    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, data: object) -> object:
        return {"path": data} if isinstance(data, str) else data


class Source(_Located):
    """What to read: a folder, file, pattern or URL; the format is inferred unless given.

    `columns` maps our fields to the columns of a table, `limit` reads only that many samples from the start,
    `settings` are those of the format's reader (`missing_image: drop_item`).
    """

    path: str = Field(min_length=1)
    format: str | None = None
    columns: dict[str, str] | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    limit: int | None = Field(None, ge=1)


class Write(_Located):
    """What to write and where.

    Shards close before they exceed `shard_size` (bytes, or `1GB`) or `shard_samples`; with `partition_by` each holds
    samples of one value of that field alone (a measure or a column of the source). With `keep_dropped` the samples
    that steps dropped are written too, apart from the others (the format `clips` has a place for them). `embeddings`
    says how vectors go into the Parquet file beside each shard, `fields_in_json` puts our fields under one key
    `sluice` in each sample's JSON too, `parquet` writes the Parquet files at all; `settings` are further ones
    of the format's writer.
    """

    path: str = Field(min_length=1)
    format: str = "webdataset"
    shard_size: Size = 1_000_000_000
    shard_samples: int | None = Field(None, ge=1)
    partition_by: str | None = Field(None, min_length=1)
    keep_dropped: bool = False
    embeddings: Literal["none", "float16", "float32"] = "none"
    fields_in_json: bool = False
    parquet: bool = True
    settings: dict[str, Any] = Field(default_factory=dict)


class Limits(Part):
    """What one sample may cost before it counts as failed.

    `sample_s` is wall time, `memory_mb` a worker's memory, `image_px` the pixels that an image's header may
    promise: by default the number at which Pillow, too, takes a file for a decompression bomb.
    """

    sample_s: float = Field(60, gt=0)
    memory_mb: int = Field(4096, ge=64)
    image_px: int = Field(178_956_970, ge=1)


class Recipe(Part):
    """A whole recipe. Equality is by meaning: where it was written plays no part.

    `max_failed` is the share of failed samples at which a run stops; `item_errors` says what becomes of a
    sample of several items when one is unreadable; `check: full` decodes everything, even where no measure
    needs pixels.
    """

    name: str | None = Field(None, min_length=1)
    source: Source
    steps: tuple[SerializeAsAny[Step], ...] = ()
    write: Write | None = None
    max_failed: Share | None = None
    item_errors: ItemErrors = "drop_item"
    check: Literal["header", "full"] | None = None
    limits: Limits = Limits()
    at: At

    @field_validator("steps", mode="after")
    @classmethod
    def _without_those_off(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(step for step in steps if not step.off)

    @property
    def file(self) -> str:
        """The file it was read from, or ""."""
        return self.at.file

    @property
    def title(self) -> str:
        """Its name, else its file's, else `recipe`."""
        return self.name or PurePosixPath(self.file).stem or "recipe"

    def to_data(self, *, full: bool = False) -> dict[str, Any]:
        """The recipe as plain data, as in YAML: in its shortest form, or with every default written out."""
        data = self.model_dump(mode="json", exclude={"steps"}, exclude_defaults=not full)
        steps = [{step.key: step.payload(full=full)} for step in self.steps]
        if steps or full:
            data["steps"] = steps
        order = [name for name in type(self).model_fields if name in data]
        return {name: data[name] for name in order}

    def to_yaml(self, *, full: bool = False) -> str:
        """The recipe as YAML; reading it again gives an equal recipe."""
        return yaml.dump(
            self.to_data(full=full), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100
        )

    def replace(self, **changes: Any) -> Self:
        """A copy with some top-level fields changed."""
        return self.model_copy(update=changes)
