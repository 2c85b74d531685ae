"""Before anything runs: the source is looked at, the recipe resolved, and the plan locked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import xxhash

import sluice
from sluice.errors import SourceError, UsageError
from sluice.model.used import models_of
from sluice.operator import Instance, Registry, registry
from sluice.operator.instance import library_version
from sluice.operator.tracks import all_tracks
from sluice.plan import Mappers, Plan, Unit, cut, plan, with_known_content
from sluice.readers import Reader, detect_format, open_reader
from sluice.readers.source import Source as SourceFiles
from sluice.recipe.check import FieldType, Kind
from sluice.recipe.lock import ColumnLock, Lock, MapperLock
from sluice.recipe.recipe import Recipe, Source, Write
from sluice.recipe.steps import Split
from sluice.run.apart import refuse_inside
from sluice.run.known import ContentCheck, Known, base_mark
from sluice.run.source import SourceRef
from sluice.sample import Sample
from sluice.storage import Location
from sluice.store import Fragments, RunDir
from sluice.store.fragments import source_names
from sluice.writers import Writer, open_writer

PEEKED_SAMPLES = 32
"""Samples looked at to learn the source's own columns and whether samples have several items of a kind."""


@dataclass(frozen=True)
class Prepared:
    """A recipe ready to run."""

    recipe: Recipe
    registry: Registry
    plan: Plan
    reader: Reader
    source: SourceRef
    known: Known
    units: tuple[Unit, ...]
    run: RunDir
    store: Location
    lock: Lock
    writer: Writer | None = None


def prepare(
    recipe: Recipe,
    *,
    output: str | None = None,
    run: str | None = None,
    store: str | None = None,
    operators: Registry | None = None,
    retry_failed: bool = False,
) -> Prepared:
    """Resolve a recipe: list its source, cut it into units, bind its operators, check its rules.

    `output`, `run` and `store` say where the output, what the run remembers and the store lie; by default the
    recipe's `write.path`, `_sluice` in it and `sluice-store` beside it. Touches no media beyond a look at
    the first samples. Raises RecipeError, SourceError or UsageError before any work.
    """
    reader, source = open_source(recipe.source)
    place = _output(recipe, output)
    # A format, setting or model that does not exist must not be found out after hours.
    writer = _writer(place, recipe.write) if recipe.write is not None else None
    run_dir = RunDir.of(place, Location(run) if run else None)
    store_place = Location(store) if store else place.parent / "sluice-store"
    source = replace(source, store=store_place.url)
    refuse_inside(Location(recipe.source.path), place, store_place, folders=getattr(reader, "folders", None))
    found = operators or registry()
    peeked = _peek(reader)
    # A splitter might take this process down, so that what it makes is not looked at here.
    splits = any(isinstance(step, Split) for step in recipe.steps)
    resolved = plan(recipe, found, _source_fields(peeked), {} if splits else _multiple(peeked))
    plain, mappers = reader, tuple(resolved.mappers.leading.values())
    source = replace(source, tracks=all_tracks((*mappers, *resolved.instances)))
    if mappers:
        source = replace(source, mappers=mappers)
        reader = source.open()
    known = Known(Fragments(store_place / "fragments"), base_mark(reader), retry_failed, splits)
    own = {"columns": recipe.source.columns, "settings": recipe.source.settings}
    settings = {name: str(given) for name, given in own.items() if given}
    if mappers:
        settings["mappers"] = ",".join(mapper.fingerprint for mapper in mappers)
    cut_units = cut(plain, settings=settings, limit=recipe.source.limit)
    check = ContentCheck(known.fragments, source.root)
    units = tuple(with_known_content(cut_units, known.fragments.listing(), check))
    if not units:
        raise SourceError(
            "the source is empty", where=recipe.source.path, fix="check the path or the pattern"
        )
    lock = _lock(recipe, resolved, units)
    return Prepared(recipe, found, resolved, reader, source, known, units, run_dir, store_place, lock, writer)


def writer_settings(write: Write) -> dict[str, Any]:
    """The settings of a recipe's writer: what the recipe says beyond the defaults, packing left out."""
    packing = {"path", "format", "shard_size", "shard_samples", "partition_by", "keep_dropped", "settings"}
    return {**write.model_dump(mode="json", exclude=packing, exclude_defaults=True), **write.settings}


def _writer(place: Location, write: Write) -> Writer:
    """Open the writer, which refuses what it cannot do."""
    writer = open_writer(place, write.format, **writer_settings(write))
    if hasattr(writer, "write_partitioned") and write.partition_by is None:
        raise UsageError(
            f"the format {write.format!r} is laid out by partition",
            where="write",
            fix="add `partition_by: FIELD` (of clips: `partition_by: video_bin`)",
        )
    if write.keep_dropped and not hasattr(writer, "write_dropped"):
        raise UsageError(
            f"the format {write.format!r} has no place for samples that were dropped",
            where="write.keep_dropped",
            fix="leave it out, or write the format `clips`",
        )
    getattr(writer, "marks", ())  # a model that is not whole is found now
    return writer


def open_source(source: Source) -> tuple[Reader, SourceRef]:
    """The reader of a recipe's source, and how workers open it."""
    place = Location(source.path)
    name = source.format or detect_format(place)
    reader = open_reader(place, format=name, columns=source.columns, settings=source.settings)
    root = SourceFiles.of(place).root.url.rstrip("/") + "/"
    return reader, SourceRef(place.url, name, root, source.columns, source.settings)


def _output(recipe: Recipe, output: str | None) -> Location:
    path = output or (recipe.write.path if recipe.write else None)
    if path is None:
        raise UsageError(
            "the recipe does not say where its results go", fix="add `write: {path: …}` or give --output"
        )
    return Location(path)


def _peek(reader: Reader) -> list[Sample]:
    first = next(iter(reader.slices()), None)
    return list(islice(reader.read(first), PEEKED_SAMPLES)) if first else []


def _source_fields(samples: list[Sample]) -> dict[str, FieldType]:
    kinds: dict[type, Kind] = {int: "number", float: "number", str: "text", bool: "bool"}
    seen = list(dict.fromkeys(name for sample in samples for name in sample.fields))
    found: dict[str, FieldType] = {}
    for name, stored in source_names(seen).items():
        values = (sample.fields.get(name) for sample in samples)
        kind = next((kinds[type(value)] for value in values if type(value) in kinds), None)
        if kind is not None:
            found[stored] = FieldType(stored, kind)
    return found


def _multiple(samples: list[Sample]) -> dict[str, bool]:
    """Modalities of which a sample seen has several items; others are not known yet."""
    counts = [Counter(item.modality for item in sample.items) for sample in samples]
    return {modality: True for found in counts for modality, count in found.items() if count > 1}


def _lock(recipe: Recipe, resolved: Plan, units: tuple[Unit, ...]) -> Lock:
    listing = xxhash.xxh3_128_hexdigest("\n".join(u.key for u in units).encode())
    return Lock(
        sluice=sluice.__version__,
        recipe=recipe.to_data(full=True),
        columns=tuple(_column_locks(resolved)),
        mappers=tuple(_mapper_locks(resolved.mappers)),
        source_digest=listing,
        seeds={f"steps.{n}": s.seed for n, s in enumerate(recipe.steps) if hasattr(s, "seed")},
    )


def _column_locks(resolved: Plan) -> Iterator[ColumnLock]:
    for instance in resolved.instances:
        for output in instance.outputs:
            yield ColumnLock(
                column=output.name,
                operator=instance.spec.name,
                version=instance.spec.version,
                fingerprint=instance.fingerprint,
                settings={**instance.settings, **instance.asked_over},
                libraries=_libraries(instance),
                models=models_of(instance),
            )


def _mapper_locks(mappers: Mappers) -> Iterator[MapperLock]:
    for number, instance in (*mappers.leading.items(), *mappers.trailing.items()):
        yield MapperLock(
            step=f"steps.{number}",
            operator=instance.spec.name,
            version=instance.spec.version,
            fingerprint=instance.fingerprint,
            settings=dict(instance.settings),
            libraries=_libraries(instance),
            models=models_of(instance),
        )


def _libraries(instance: Instance) -> dict[str, str]:
    return {name: library_version(name) for i in instance.closure() for name in i.spec.libraries}
