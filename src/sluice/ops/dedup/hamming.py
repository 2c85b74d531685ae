"""Which samples have nearly the same hash?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from sluice.errors import UsageError
from sluice.operator import deduplicator
from sluice.ops.dedup.collect import Found
from sluice.ops.dedup.identical import first_rows
from sluice.ops.dedup.pairs import Pairs, assemble
from sluice.ops.dedup.radius_join import near_pairs


@deduplicator(version=1, by="bits")
def hamming(
    bits: pa.Array | pa.ChunkedArray | NDArray[np.uint64], *, distance: Annotated[int, Field(ge=0)]
) -> Pairs:
    """All pairs of hashes that differ in at most `distance` bits; the score is the number of bits. Exact.

    `bits` is an Arrow column of uint64 or of fixed-size binary, or an array [n] or [n, words] of uint64.
    Equal hashes are star pairs of score 0 (see `Pairs`), so a thousand copies of one picture make 999 pairs;
    near pairs stand between the first rows of different hashes. Nulls never match and are counted.

    Every pair is found (generalised pigeonhole over blocks of bits, `radius_plan`) and verified. For 64-bit
    perceptual hashes of photographs, distances up to about 6 to 10 are re-encodings and resizes; two random
    hashes are 32 ± 4 bits apart.
    """
    hashes, known = _as_words(bits)
    first = np.full(len(hashes), -1, dtype=np.int64)
    rows = np.flatnonzero(known)
    first[rows] = rows[first_rows(_as_arrow(hashes[rows]))]
    distinct = np.flatnonzero(first == np.arange(len(first)))
    found = Found("lower `distance`, or drop nearly uniform images (contrast, entropy) before this step")
    near_pairs(hashes[distinct], distance, found)
    a, b, score = found.columns()
    return assemble("hamming", first, distinct[a], distinct[b], score)


def _as_words(
    bits: pa.Array | pa.ChunkedArray | NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the hashes as [n, words] and which of them are not null."""
    if isinstance(bits, np.ndarray):
        if bits.dtype != np.uint64 or bits.ndim not in (1, 2) or 0 in bits.shape[1:]:
            raise UsageError(f"hashes are uint64 of shape [n] or [n, words], not {bits.dtype} {bits.shape}")
        return bits.reshape(len(bits), -1 if bits.size else 1), np.ones(len(bits), bool)
    column = bits.combine_chunks() if isinstance(bits, pa.ChunkedArray) else bits
    known = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_uint64(column.type):
        return column.fill_null(0).to_numpy(zero_copy_only=False).reshape(-1, 1), known
    if not pa.types.is_fixed_size_binary(column.type):
        raise UsageError(
            f"a column of type {column.type} holds no hashes of bits",
            fix="give a perceptual hash (uint64 or fixed-size binary), such as image_phash",
        )
    width = column.type.byte_width
    raw = np.zeros((len(column), -(-width // 8) * 8), dtype=np.uint8)
    stored = np.frombuffer(column.buffers()[1] or b"", np.uint8)[column.offset * width :]
    raw[:, :width] = stored[: len(column) * width].reshape(len(column), width)
    return raw.view(np.uint64), known


def _as_arrow(hashes: NDArray[np.uint64]) -> pa.Array:
    contiguous = np.ascontiguousarray(hashes)
    width = contiguous.shape[1] * contiguous.itemsize
    return pa.Array.from_buffers(pa.binary(width), len(contiguous), [None, pa.py_buffer(contiguous)])
