"""Finds the files of a model on this machine, and tells what they hold by a digest; fetches nothing."""

from __future__ import annotations

import difflib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import xxhash

from sluice.errors import MissingError
from sluice.model.cards import cards
from sluice.model.integrity import FETCHED, flaws, xxh3
from sluice.operator.spec import Contents

_IGNORED = (".git", ".cache", "README.md", "LICENSE", ".gitattributes", FETCHED)
_OTHER_FORMATS = (".msgpack", ".h5", ".ot", ".onnx", ".tflite")
"""Endings of the same weights for other frameworks, beside a model that is loaded from safetensors."""


def models_folder() -> Path:
    """Where models are put by hand or by `sluice models fetch`: `$SLUICE_MODELS`, else under `~/.cache`."""
    given = os.environ.get("SLUICE_MODELS")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "sluice" / "models"


def digests_folder() -> Path:
    """Where digests of large files are remembered."""
    return models_folder() / ".digests"


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
    near = difflib.get_close_matches(name, cards(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`sluice models list` names those we know"
    by_hand = f"give the path of its files, or put them at {put} ({hint})"
    raise MissingError(
        f"the model {name!r} is not on this machine",
        where=f"looked at {looked}",
        fix=fetch if known else by_hand,
    )


def digest(name: str) -> str:
    """xxh3-128 over the names and contents of a model's files, in hexadecimal: what its scores depend on.

    The same files in another place have the same digest. Read once a process, and remembered beside our models
    by path, size and time. Raises MissingError where the files are not whole, or are not those published.
    """
    path = find(name)
    wrong = _flaws(path, name)
    if wrong:
        again = f"`sluice models fetch {name}`" if name in cards() else "copy the model again, whole"
        raise MissingError(f"the model {name!r} is not whole: {'; '.join(wrong)}", where=str(path), fix=again)
    return _digest(path)


def about(name: str) -> str:
    """A model's origin and licence in a phrase, for people; its name alone where we do not know it."""
    known = cards().get(name)
    return f"{name} ({known.licence})" if known else name


@dataclass(frozen=True, slots=True)
class Model(Contents):
    """Marks a setting that names a model, so that the lock and `sluice plan` tell of it."""


Weights = Annotated[str, Model(digest, about)]
"""A setting that names a model: a path, or a name that `find` knows."""

Passed = Annotated[str, Contents(lambda name: "")]
"""The name of a model that a feature or track takes; what it holds is in the fingerprint of that."""


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
    known = cards().get(name)
    for revision in dict.fromkeys([known.hub[1] if known and known.hub else "main", "main"]):
        commit = repository / "refs" / revision
        if commit.is_file():
            yield repository / "snapshots" / commit.read_text(encoding="ascii").strip()


@cache
def _flaws(path: Path, name: str) -> tuple[str, ...]:
    return tuple(flaws(path, cards().get(name), digests_folder()))


@cache
def _digest(path: Path) -> str:
    whole = xxhash.xxh3_128()
    for file in [path] if path.is_file() else _files(path):
        name = "" if path.is_file() else file.relative_to(path).as_posix()
        whole.update(f"{name}\0{xxh3(file, digests_folder())}\n".encode())
    return whole.hexdigest()


def _files(folder: Path) -> list[Path]:
    found = sorted(
        p for p in folder.rglob("*") if p.is_file() and not set(p.relative_to(folder).parts) & set(_IGNORED)
    )
    if any(p.suffix == ".safetensors" for p in found):
        found = [p for p in found if p.suffix not in (*_OTHER_FORMATS, ".bin", ".pt", ".pth")]
    return found
