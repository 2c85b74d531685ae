"""The lock: a recipe's resolved twin, with every version, digest, seed and default behind a result."""

from __future__ import annotations

import json
from typing import Any

import xxhash
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sluice.errors import RecipeError
from sluice.recipe.yaml_text import Document, Dumper, read_yaml
from sluice.storage import Location


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnLock(_Record):
    """What made one column: the operator, its version, all its settings, and its fingerprint.

    The fingerprint stands for operator, dependencies and codecs; `libraries` names the versions of those
    whose results it depends on, `models` by name the models behind it: `digest` of the files, `dtype`, `device`,
    `preprocessing`, `licence`.
    """

    column: str
    operator: str
    version: int
    fingerprint: str
    settings: dict[str, Any] = {}
    libraries: dict[str, str] = {}
    models: dict[str, dict[str, str]] = {}


class MapperLock(_Record):
    """What made new versions of items: the mapper of one step (`steps.0`), its settings and fingerprint."""

    step: str
    operator: str
    version: int
    fingerprint: str
    settings: dict[str, Any] = {}
    libraries: dict[str, str] = {}
    models: dict[str, dict[str, str]] = {}


class Lock(_Record):
    """All that a run's result depends on. Two runs of equal locks end in the same bytes.

    `sluice` is our version, `recipe` the recipe as plain data with every default written out,
    `source_digest` the digest of the source's listing, `seeds` the seed of each random step by its path.
    """

    sluice: str
    recipe: dict[str, Any]
    columns: tuple[ColumnLock, ...] = ()
    mappers: tuple[MapperLock, ...] = ()
    source_digest: str = ""
    seeds: dict[str, int] = {}

    @property
    def digest(self) -> str:
        """xxh3-128, in hex, of the lock's content; it does not depend on the order of keys."""
        text = json.dumps(self._data(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return xxhash.xxh3_128_hexdigest(text.encode())

    def _data(self) -> dict[str, Any]:
        data = self.model_dump(mode="json")
        data["columns"] = sorted(data["columns"], key=lambda each: (each["column"], each["fingerprint"]))
        if not self.mappers:
            del data["mappers"]
        return data

    def to_yaml(self) -> str:
        """The lock as YAML: the same text for the same content, its digest in the first line."""
        data = self._data()
        for column in data["columns"]:
            for part in ("settings", "libraries", "models"):
                column[part] = dict(sorted(column[part].items()))
        for mapper in data.get("mappers", ()):
            for part in ("settings", "libraries", "models"):
                mapper[part] = dict(sorted(mapper[part].items()))
        data["seeds"] = dict(sorted(data["seeds"].items()))
        body = yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
        return f"# digest {self.digest}\n{body}"

    @classmethod
    def from_yaml(cls, text: str, file: str = "lock") -> Lock:
        """The lock in `text`; `RecipeError` where it is none, or was changed after it was written."""
        document = read_yaml(text, file)
        try:
            lock = cls.model_validate(document.data)
        except ValidationError as error:
            raise _damaged(error, document) from None
        head = text.partition("\n")[0]
        if head.startswith("# digest ") and head != f"# digest {lock.digest}":
            fix = "restore it from the run, or run the recipe again"
            raise RecipeError("the lock was changed after it was written", where=f"{file}:1", fix=fix)
        return lock

    def write(self, location: Location) -> None:
        """Writes the lock, whole or not at all."""
        location.write(self.to_yaml().encode())

    @classmethod
    def read(cls, location: Location) -> Lock:
        """The lock at `location`; `NotFoundError` where there is none."""
        return cls.from_yaml(location.read().decode(), location.url)


def _damaged(error: ValidationError, document: Document) -> RecipeError:
    first = error.errors(include_url=False)[0]
    path = tuple(first["loc"])
    name = ".".join(map(str, path)) or "lock"
    what = f"`{name}`: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return RecipeError(what, where=document.where(path), fix="restore it from the run", field=name)
