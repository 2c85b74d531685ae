"""Says what lies at a path: a run, a dataset, a shard or one sample, with a look at what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from sluice.codec import probe
from sluice.errors import SampleError, StorageError, UsageError
from sluice.readers import Reader, Slice, open_reader
from sluice.sample import Item, Sample
from sluice.storage import Location
from sluice.store import RunDir
from sluice.store.opened import Run

LOOKED_AT = 100
"""Samples whose items and fields are looked at to describe a dataset."""

_TEXT_SHOWN = 200


def show(path: str, *, samples: int = 5) -> dict[str, Any]:
    """What is at `path`; `PATH#KEY` is one sample of it. The first `samples` are described.

    The document's `kind` is `run`, `dataset` or `sample`. A path that exists is taken literally, whatever
    characters it holds. Raises SourceError or UsageError where nothing readable is there.
    """
    whole, mark, key = path.rpartition("#")
    if mark and whole and not Location(path).exists():
        return _one(whole, key)
    run = _run_at(path)
    return _run(run, samples) if run is not None else _dataset(path, samples)


def _run_at(path: str) -> Run | None:
    try:
        place = RunDir.find(path)
    except UsageError:
        return None
    return Run.open(path) if place.summary.exists() else None


def _run(run: Run, samples: int) -> dict[str, Any]:
    summary = run.summary
    fates = ("read", "kept", "dropped", "duplicate", "failed")
    return {
        "kind": "run",
        "path": run.place.output.url,
        "recipe": run.name,
        "source": run.facts["source"]["url"],
        "format": run.lock.recipe["write"]["format"] if run.lock.recipe.get("write") else None,
        **{name: summary[name] for name in fates},
        "shards": summary["shards"],
        "size_bytes": summary["size_bytes"],
        "store": run.store.url,
        "fields": [
            {"name": n, "type": f.kind, "unit": f.unit, "meaning": f.description}
            for n, f in run.fields.items()
        ],
        "samples": [described(run.sample(o)) for o in _kept(run, samples)],
    }


def _kept(run: Run, count: int) -> list[int]:
    found = run.query("SELECT ordinal FROM fates WHERE fate = 'kept' ORDER BY ordinal LIMIT ?", count)
    ordinals: list[int] = found.column("ordinal").to_pylist()
    return ordinals


def _dataset(path: str, samples: int) -> dict[str, Any]:
    reader = open_reader(path)
    parts = list(reader.slices())
    if not parts:
        raise UsageError("nothing to read is here", where=path, fix="check the path or the pattern")
    looked = list(islice(_all(reader, parts), max(samples, LOOKED_AT)))
    files = {file.path: file.size for part in parts for file in part.files}
    counts = [part.samples for part in parts]
    return {
        "kind": "dataset",
        "path": Location(path).url,
        "format": reader.format,
        "files": len(files),
        "size_bytes": sum(files.values()),
        # Compressed and remote shards tell their number of samples only when they are read through.
        "samples_total": None if None in counts else sum(c or 0 for c in counts),
        "looked_at": len(looked),
        "items": _item_kinds(looked),
        "fields": [{"name": n, "type": t} for n, t in _field_types(looked).items()],
        "unreadable": sum(any(n.kind == "read" for n in s.notes) for s in looked),
        "samples": [described(sample) for sample in looked[:samples]],
    }


def _all(reader: Reader, parts: Iterable[Slice]) -> Iterator[Sample]:
    for part in parts:
        yield from reader.read(part)


def _item_kinds(samples: list[Sample]) -> list[dict[str, Any]]:
    """Kinds of items by name and type, and in how many of the samples looked at each is."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for number, sample in enumerate(samples):
        for item in sample.items:
            found.setdefault((item.modality, item.name, item.content_type), set()).add(number)
    ordered = sorted(found.items(), key=lambda each: -len(each[1]))
    return [
        {"modality": m, "name": n, "content_type": c, "in_samples": len(where)}
        for (m, n, c), where in ordered[:50]
    ]


def _field_types(samples: list[Sample]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for sample in samples:
        for name, value in sample.fields.items():
            kinds = found.setdefault(name, set())
            if value is not None:
                kinds.add(_type_name(value))
    return {name: " or ".join(sorted(kinds)) or "null" for name, kinds in found.items()}


def _type_name(value: Any) -> str:
    words = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true or false",
        "dict": "struct",
    }
    name = type(value).__name__
    return words.get(name, name)


def _one(path: str, key: str) -> dict[str, Any]:
    """The samples of a key, looked up in a run's index or by reading the source from its start."""
    run = _run_at(path)
    if run is not None:
        found = [run.sample(o) for o in run.table.find(key)]
        found = [s for s in found if key in (s.key, s.id)]
    else:
        reader = open_reader(path)
        found = list(islice((s for s in _all(reader, reader.slices()) if key in (s.key, s.id)), 1))
    if not found:
        raise UsageError(
            f"there is no sample {key!r}", where=path, fix=f"`sluice show {path}` lists the first"
        )
    return {"kind": "sample", "path": path, "samples": [described(sample) for sample in found]}


def described(sample: Sample) -> dict[str, Any]:
    """A sample for people and programs: key, id, items with type, size and shape, fields, what went wrong."""
    return {
        "key": sample.key,
        "id": sample.id,
        "items": [_item(item) for item in sample.items],
        "fields": {n: _brief(v) for n, v in sample.fields.items()},
        "notes": [f"{n.reason}: {n.detail}" if n.detail else n.reason for n in sample.notes],
    }


def _item(item: Item) -> dict[str, Any]:
    about: dict[str, Any] = {"modality": item.modality, "name": item.name, "content_type": item.content_type}
    try:
        about |= _shape(item)
    except SampleError as error:
        about["unreadable"] = error.reason
    except StorageError as error:
        about["unreadable"] = error.what
    return about


def _shape(item: Item) -> Mapping[str, Any]:
    media = item.media
    found: dict[str, Any] = {}
    if media is not None:
        found["size_bytes"] = len(media.data) if media.data is not None else media.size
    if item.modality == "image" and media is not None:
        with media.open() as file:
            head = probe(file)
        found |= {"width_px": head.width_px, "height_px": head.height_px}
    if item.modality in ("text", "metadata"):
        text = (
            item.text
            if item.text is not None
            else media.head(4 * _TEXT_SHOWN).decode("utf-8", "replace")
            if media
            else ""
        )
        found["text"] = _brief(" ".join(text.split()))
    return found


def _brief(value: Any) -> Any:
    """Long texts and lists cut, bytes by their number."""
    if isinstance(value, str) and len(value) > _TEXT_SHOWN:
        return value[: _TEXT_SHOWN - 1] + "…"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list) and len(value) > 20:
        return [_brief(v) for v in value[:20]] + [f"… {len(value) - 20:,} more"]
    return value
