"""Finds the files of a model on this machine, and tells what they hold by a digest; fetches nothing."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated

import xxhash

from sluice.errors import MissingError
from sluice.model.cards import cards
from sluice.operator.spec import Contents

_BLOCK = 1 << 24
_IGNORED = (".git", ".cache", "README.md", "LICENSE", ".gitattributes")
_OTHER_FORMATS = (".msgpack", ".h5", ".ot", ".onnx", ".tflite")
"""Endings of the same weights for other frameworks, beside a model that is loaded from safetensors."""


def models_folder() -> Path:
    """Where models are put by hand or by `sluice models fetch`: `$SLUICE_MODELS`, else under `~/.cache`."""
    given = os.environ.get("SLUICE_MODELS")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "sluice" / "models"


def places(name: str) -> list[Path]:
    """Where a model of this name is looked for, first to last."""
    return [Path(name).expanduser(), *_in_folder(name), *_in_package(name), *_in_hub_cache(name)]


def find(name: str) -> Path:
    """The file or folder of a model: a path, else a name in our models' folder or in Hugging Face's cache.

    A model of one file is that file. Raises MissingError, with the command that fetches a known model and the
    place where it may be put by hand.
    """
    for place in places(name):
        if place.is_file() or (place.is_dir() and any(place.iterdir())):
            return place.resolve()
    known = cards().get(name)
    put = models_folder() / name / (next(iter(known.files), "") if known else "")
    looked = ", ".join(str(place) for place in places(name))
    fetch = f"`sluice models fetch {name}`, or put its files at {put}"
    by_hand = f"give the path of its files, or put them at {put} (`sluice models list` names those we know)"
    raise MissingError(
        f"the model {name!r} is not on this machine",
        where=f"looked at {looked}",
        fix=fetch if known else by_hand,
    )


def digest(name: str) -> str:
    """xxh3-128 over the names and contents of a model's files, in hexadecimal: what its scores depend on.

    The same files in another place have the same digest. Read once a process, and remembered beside our models
    by path, size and time.
    """
    return _digest(find(name))


def about(name: str) -> str:
    """A model's origin and licence in a phrase, for people; its name alone where we do not know it."""
    known = cards().get(name)
    return f"{name} ({known.licence})" if known else name


Weights = Annotated[str, Contents(digest, about)]
"""A setting that names a model: a path, or a name that `find` knows."""


def _in_folder(name: str) -> Iterator[Path]:
    known = cards().get(name)
    folder = models_folder() / name
    if known is not None and known.kind == "file":
        yield from (folder / file for file in known.files)
    else:
        yield folder


def _in_package(name: str) -> Iterator[Path]:
    """Where an installed package carries the files of a known model; the package is not imported."""
    known = cards().get(name)
    if known is None or known.package is None:
        return
    package, _, folder = known.package.partition("/")
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        yield from (Path(root) / folder / file for file in known.files)


def _in_hub_cache(name: str) -> Iterator[Path]:
    """The snapshot that Hugging Face's cache holds of `owner/name`, if its layout is there."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache_folder = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    repository = cache_folder / f"models--{name.replace('/', '--')}"
    if name.count("/") != 1:
        return
    main = repository / "refs" / "main"
    if main.is_file():
        yield repository / "snapshots" / main.read_text(encoding="ascii").strip()


@cache
def _digest(path: Path) -> str:
    whole = xxhash.xxh3_128()
    for file in [path] if path.is_file() else _files(path):
        name = "" if path.is_file() else file.relative_to(path).as_posix()
        whole.update(f"{name}\0{_file_digest(file)}\n".encode())
    return whole.hexdigest()


def _files(folder: Path) -> list[Path]:
    found = sorted(
        p for p in folder.rglob("*") if p.is_file() and not set(p.relative_to(folder).parts) & set(_IGNORED)
    )
    if any(p.suffix == ".safetensors" for p in found):
        found = [p for p in found if p.suffix not in (*_OTHER_FORMATS, ".bin", ".pt", ".pth")]
    return found


def _file_digest(path: Path) -> str:
    stat = path.stat()
    mark = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    known = models_folder() / ".digests" / f"{xxhash.xxh3_128_hexdigest(mark.encode())}.json"
    if known.is_file():
        return str(json.loads(known.read_text())["xxh3"])
    found = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    if stat.st_size > _BLOCK:
        _remember(known, found.hexdigest())
    return found.hexdigest()


def _remember(known: Path, value: str) -> None:
    """Keep a digest that took long; where the folder cannot be written it is computed again next time."""
    partial = known.with_name(f"{known.name}.{os.getpid()}")
    try:
        known.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({"xxh3": value}))
        partial.replace(known)
    except OSError:
        return
