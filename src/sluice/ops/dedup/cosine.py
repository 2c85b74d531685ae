"""Which samples point in nearly the same direction of an embedding?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from sluice.errors import UsageError
from sluice.operator import deduplicator
from sluice.ops.dedup.collect import Found, Rows
from sluice.ops.dedup.identical import first_vectors
from sluice.ops.dedup.pairs import Pairs, assemble

BLOCK = 4096  # rows against rows at a time: 64 MB of similarities
VERIFIED = 1 << 21  # numbers gathered at a time to verify candidates: 16 MB each side


@deduplicator(version=1, by="vector")
def cosine(
    vectors: pa.Array | pa.ChunkedArray | NDArray[np.float32],
    *,
    similarity: Annotated[float, Field(ge=-1, le=1)],
) -> Pairs:
    """All pairs of vectors whose cosine is at least `similarity`; the score is the cosine. Exact.

    `vectors` is an Arrow column of fixed-size lists, or an array [n, dim]. Equal vectors are star pairs of
    score 1 (see `Pairs`). Null vectors, and zero ones or those with a number that is not finite, match
    nothing and are counted. Every pair is compared (n²/2 · dim multiplications in single precision, in
    blocks of bounded memory) and those near the bound again in double precision, rounded to float32: neither
    scores nor decisions depend on the blocks or the number of threads.

    Known values: (1,2,3), (4,5,6), (7,8,9), (10,11,12) have at most 0, .974632, .998191, .999618 with the
    earlier ones of them.
    """
    matrix = _as_matrix(vectors)
    usable = np.isfinite(matrix).all(axis=1) & (matrix != 0).any(axis=1)
    first = first_vectors(matrix, usable)
    distinct = np.flatnonzero(first == np.arange(len(first)))
    found = Found("raise `similarity`, or drop nearly uniform images before this step")
    near_vectors(matrix[distinct], similarity, found)
    a, b, score = found.columns()
    return assemble("cosine", first, distinct[a], distinct[b], score)


def near_vectors(
    vectors: NDArray[np.float32], similarity: float, found: Found, *, block: int = BLOCK
) -> None:
    """Add to `found` every pair of the finite non-zero `vectors` [n, dim] with cosine ≥ `similarity`."""
    wide = vectors.astype(np.float64)
    norms = np.sqrt((wide * wide).sum(axis=1))
    units = np.ascontiguousarray((wide / norms[:, None]).astype(np.float32))
    del wide
    # A single-precision dot product of unit vectors is off by at most about dim · 2^-24 in any order of
    # summation (Higham, 2002, ch. 3); the margin is over twice that, and the second look decides.
    least = np.float32(similarity - (vectors.shape[1] + 8) * 2.0**-23)
    for i, j in _candidates(units, least, block):
        for start in range(0, len(i), max(1, VERIFIED // max(1, vectors.shape[1]))):
            part = slice(start, start + max(1, VERIFIED // max(1, vectors.shape[1])))
            a, b = i[part], j[part]
            products = vectors[a].astype(np.float64) * vectors[b].astype(np.float64)
            score = (products.sum(axis=1) / (norms[a] * norms[b])).clip(-1, 1).astype(np.float32)
            near = score >= np.float32(similarity)
            if near.any():
                found.add(a[near], b[near], score[near])


def _candidates(units: NDArray[np.float32], least: np.float32, block: int) -> Iterator[tuple[Rows, Rows]]:
    n = len(units)
    for top in range(0, n, block):
        bottom = min(top + block, n)
        for left in range(top, n, block):
            right = min(left + block, n)
            hit = np.flatnonzero(units[top:bottom] @ units[left:right].T >= least)
            i, j = top + hit // (right - left), left + hit % (right - left)
            yield (i[i < j], j[i < j]) if left == top else (i, j)


def _as_matrix(vectors: pa.Array | pa.ChunkedArray | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors as [n, dim]; a null vector, or a null in one, becomes NaN."""
    if isinstance(vectors, np.ndarray):
        if vectors.ndim != 2:
            raise UsageError(f"vectors are of shape [n, dim], not {vectors.shape}")
        return np.ascontiguousarray(vectors, dtype=np.float32)
    column = vectors.combine_chunks() if isinstance(vectors, pa.ChunkedArray) else vectors
    if not pa.types.is_fixed_size_list(column.type):
        raise UsageError(
            f"a column of type {column.type} holds no vectors of one length",
            fix="give an embedding (fixed-size list of floats), such as image_descriptor",
        )
    dim = column.type.list_size
    values = column.values.slice(column.offset * dim, len(column) * dim)
    matrix = np.array(values.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(len(column), dim)
    matrix[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return matrix
