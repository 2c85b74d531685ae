"""A set of embeddings that others are compared with: read from a file, known by what it holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from sluice.errors import MissingError, PlanError, SampleError
from sluice.model.files import digests_folder, models_folder
from sluice.model.integrity import xxh3
from sluice.operator.spec import Contents
from sluice.sample.members import member_type

Vectors = NDArray[np.float32]
Against = Literal["nearest", "mean"]
Embed = Callable[[list[Path]], Vectors]
"""Gives embeddings [n, size] of the pictures in these files."""

FORMS = "a .npy, .npz or .parquet file of embeddings"
_SLACK = 1e-4
"""More than single precision loses in a cosine: what is that near to the nearest is compared again, exactly."""


@dataclass(frozen=True)
class ReferenceSet:
    """Embeddings [n, size] of length 1, and the direction of their mean."""

    vectors: Vectors
    direction: NDArray[np.float64]

    def cosine(self, vector: Vectors, against: Against) -> float:
        """The cosine of an embedding of length 1 to the nearest of the set, or to the mean direction.

        Raises SampleError where the embedding has another size than those of the set.
        """
        if len(vector) != self.vectors.shape[1]:
            raise SampleError(
                "embedding of another size",
                f"the reference holds {self.vectors.shape[1]} numbers each, the embedding has {len(vector)}",
                fix="make the reference with the model that measures",
            )
        exact = vector.astype(np.float64)
        near = self.direction[None]
        if against == "nearest":
            rough = self.vectors @ vector
            near = self.vectors[rough >= rough.max() - _SLACK].astype(np.float64)
        found = float((near * exact).sum(axis=1).max())
        return min(1.0, max(-1.0, found))  # rounding may leave it a hair outside


def reference(
    path: str, against: Against = "nearest", embed: Embed | None = None, model: str = ""
) -> ReferenceSet:
    """The set at a path. Pictures of a folder are embedded once by `embed` and remembered beside our models.

    `model` says what they were embedded with. Raises MissingError where nothing is there and PlanError where
    it is no set, or where it has no mean direction and that is asked for.
    """
    place = _place(path)
    if not place.is_dir():
        found = _read(place)
    elif embed is None:
        raise PlanError(f"the reference {path!r} is a folder", fix=f"give {FORMS}")
    else:
        found = _remembered(place, embed, model)
    mean = found.astype(np.float64).mean(axis=0)
    length = float(np.sqrt(np.square(mean).sum()))
    if against == "mean" and length < 1e-6:
        raise PlanError(
            "the mean of the reference has no direction", where=path, fix="give `against: nearest`"
        )
    return ReferenceSet(found, mean / max(length, 1e-300))


def digest(path: str) -> str:
    """What a set holds, in hexadecimal: its embeddings, or the names and bytes of a folder's pictures."""
    place = _place(path)
    if place.is_dir():
        return _of_pictures(place)
    found = _read(place)
    return xxhash.xxh3_128_hexdigest(repr(found.shape).encode() + found.tobytes())


Reference = Annotated[str, Contents(digest, lambda path: f"embeddings or pictures at {path}")]
"""A setting that names a reference set."""


def pictures(folder: Path) -> list[Path]:
    """The files in a folder, at any depth, that have a picture's name, in order."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and member_type(p.name)[0] == "image")


def unit_rows(found: Any, where: str) -> Vectors:
    """Embeddings at length 1 (float32 [n, size]). PlanError where they are none, or not all have a direction."""
    rows = np.asarray(found)
    if rows.ndim != 2 or not rows.size or rows.dtype.kind != "f":
        what = f"the reference holds {rows.dtype} of shape {rows.shape}, not rows of floating-point numbers"
        raise PlanError(what, where=where, fix="save embeddings as an array [how many, size]")
    precise = rows.astype(np.float64)
    lengths = np.sqrt(np.square(precise).sum(axis=1))
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if bad.size:
        what = f"{bad.size} of {len(rows)} embeddings are zero or not finite, the first in row {bad[0]}"
        raise PlanError(what, where=where, fix="leave them out")
    unit: Vectors = (precise / lengths[:, None]).astype(np.float32)
    return unit


def _place(path: str) -> Path:
    place = Path(path).expanduser()
    if not place.exists():
        fix = f"give the path of {FORMS}, or of a folder of pictures"
        raise MissingError(f"the reference {path!r} is not on this machine", fix=fix)
    return place


@cache
def _read(file: Path) -> Vectors:
    try:
        if file.suffix == ".parquet":
            return unit_rows(_column(file), str(file))
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return unit_rows(found, str(file))
        with found:
            if len(found.files) != 1:
                raise PlanError(
                    f"the reference holds {len(found.files)} arrays", where=str(file), fix="save one"
                )
            return unit_rows(found[found.files[0]], str(file))
    except (ValueError, OSError, EOFError, pa.ArrowException) as error:
        what = f"the reference cannot be read: {error}"
        raise PlanError(what, where=str(file), fix=f"give {FORMS}") from error


def _column(file: Path) -> NDArray[Any]:
    """The one column of lists of numbers; rows that are null are left out."""
    schema = pq.read_schema(file)
    names = [f.name for f in schema if _is_vectors(f.type)]
    if len(names) != 1:
        shown = ", ".join(names) or "none"
        raise PlanError(f"the reference must have one column of vectors, not {shown}", where=str(file))
    values = pq.read_table(file, columns=names).column(0).drop_null().combine_chunks()
    lengths = {len(value) for value in values}
    if len(lengths) != 1:
        raise PlanError(f"the reference holds vectors of {len(lengths)} sizes", where=str(file))
    return np.asarray(values.flatten().to_numpy(zero_copy_only=False)).reshape(len(values), -1)


def _is_vectors(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and pa.types.is_floating(kind.value_type))


@cache
def _of_pictures(folder: Path) -> str:
    files = pictures(folder)
    if not files:
        raise PlanError("the reference is a folder without pictures", where=str(folder), fix=f"give {FORMS}")
    whole = xxhash.xxh3_128()
    for file in files:
        whole.update(f"{file.relative_to(folder).as_posix()}\0{xxh3(file, digests_folder())}\n".encode())
    return whole.hexdigest()


def _remembered(folder: Path, embed: Embed, model: str) -> Vectors:
    key = xxhash.xxh3_128_hexdigest(f"{_of_pictures(folder)}|{model}".encode())
    place = models_folder() / ".references" / f"{key}.npy"
    if place.is_file():
        return _read(place)
    found = unit_rows(embed(pictures(folder)), str(folder))
    with suppress(OSError):  # a folder that cannot be written costs time, not the answer
        _keep(place, found)
    return found


def _keep(place: Path, found: Vectors) -> None:
    partial = place.with_name(f"{place.stem}.{os.getpid()}.npy")
    place.parent.mkdir(parents=True, exist_ok=True)
    np.save(partial, found)
    partial.replace(place)
