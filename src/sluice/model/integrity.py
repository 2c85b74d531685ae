"""Tells whether a model's files are whole and are those that were published, before anything is computed with them."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xxhash

from sluice.model.cards import Card

FETCHED = ".fetched.json"
"""What a fetch leaves in a model's folder: its source, revision, and the size and SHA-256 of each file."""

_BLOCK = 1 << 24
_HEADER_MAX_BYTES = 100_000_000
"""The longest header that safetensors' own reader accepts."""


def flaws(path: Path, card: Card | None, digests: Path) -> Iterator[str]:
    """What is wrong with the model at `path`, a phrase each; nothing where it is whole.

    Weights in safetensors must be as long as their header says, every shard that an index names must be there,
    and files of which a digest is published must have it. `digests` is where digests that took long are kept.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    if path.is_dir() and _is_transformers(card, files):
        if not (path / "config.json").is_file():
            yield "it has no config.json"
        if not any(file.suffix in (".safetensors", ".bin") for file in files):
            yield "it has no weights"
    for file in files:
        if file.suffix == ".safetensors":
            yield from _safetensors(file)
        if file.name.endswith(".index.json"):
            yield from _shards(file)
    folder = path.parent if path.is_file() else path
    for name, published in (card.files if card else {}).items():
        file = path if path.is_file() and path.name == Path(name).name else folder / name
        if published and file.is_file() and sha256(file, digests) != published:
            yield f"{file.name} has another SHA-256 than the one published, {published}"


def unlike_fetched(folder: Path, digests: Path) -> Iterator[str]:
    """What has changed in a model's folder since it was fetched; nothing where it was put there by hand."""
    record = folder / FETCHED
    if not record.is_file():
        return
    for name, known in fetched(folder)["files"].items():
        file = folder / name
        if not file.is_file():
            yield f"it has no {name}"
        elif file.stat().st_size != known["size_bytes"]:
            yield f"{name} has {file.stat().st_size:,} bytes and not {known['size_bytes']:,}"
        elif sha256(file, digests) != known["sha256"]:
            yield f"{name} has changed since it was fetched"


def fetched(folder: Path) -> dict[str, Any]:
    """The record that a fetch left in a model's folder."""
    found: dict[str, Any] = json.loads((folder / FETCHED).read_text(encoding="utf-8"))
    return found


def sha256(file: Path, digests: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; of a large one remembered in `digests` by path, size and time."""
    return remembered(file, digests, "sha256", lambda: _hashed(file, hashlib.sha256()))


def xxh3(file: Path, digests: Path) -> str:
    """The xxh3-128 of a file, in hexadecimal; remembered likewise."""
    return remembered(file, digests, "xxh3", lambda: _hashed(file, xxhash.xxh3_128()))


def remembered(file: Path, digests: Path, kind: str, compute: Any) -> str:
    """The file's digest as it is remembered, else computed now; where it cannot be kept it is computed again."""
    stat = file.stat()
    mark = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{kind}"
    place = digests / f"{xxhash.xxh3_128_hexdigest(mark.encode())}.json"
    if place.is_file():
        return str(json.loads(place.read_text())[kind])
    found = str(compute())
    if stat.st_size > _BLOCK:
        partial = place.with_name(f"{place.name}.{os.getpid()}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({kind: found}))
            partial.replace(place)
        except OSError:
            pass  # a folder that cannot be written costs time, not the answer
    return found


def _hashed(file: Path, hasher: Any) -> str:
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    return str(hasher.hexdigest())


def _is_transformers(card: Card | None, files: list[Path]) -> bool:
    if card is not None:
        return card.kind == "transformers"
    return any(file.name.startswith("model") and file.suffix == ".safetensors" for file in files)


def _safetensors(file: Path) -> Iterator[str]:
    """A file of the format: 8 bytes of header length, a JSON header with offsets, and exactly those bytes."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        try:
            header = json.loads(stream.read(min(length, _HEADER_MAX_BYTES)))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError):
            yield f"{file.name} is no safetensors file, or not whole"
            return
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        yield f"{file.name} has {size:,} bytes and not the {wanted:,} that its header says"


def _shards(index: Path) -> Iterator[str]:
    try:
        wanted = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        yield f"{index.name} is damaged"
        return
    there = {file.name for file in index.parent.iterdir()}
    # An index of pickled weights beside whole safetensors, or the other way round, is never read.
    if there.intersection(wanted):
        yield from (f"it has no {name}" for name in wanted if name not in there)
