"""Which texts share most of their shingles?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Annotated

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from sluice.errors import RunError, UsageError
from sluice.operator import deduplicator
from sluice.ops.dedup.collect import Found, Rows
from sluice.ops.dedup.identical import first_rows
from sluice.ops.dedup.jaccard_bands import band_keys, candidates, choose, portions
from sluice.ops.dedup.jaccard_sketch import Sketches
from sluice.ops.dedup.pairs import Pairs, assemble
from sluice.ops.dedup.values import Values, values_of

CANDIDATES_LIMIT = 500_000_000
"""Pairs compared at most: an hour or two on one core."""

_VERIFIED = 1 << 19  # elements compared at a time: some 25 MB
_FIX = "raise `similarity`, or drop texts that are mostly boilerplate before this step"


@deduplicator(version=1, by="binary")
def jaccard(
    sketches: Values | pa.Array | pa.ChunkedArray, *, similarity: Annotated[float, Field(gt=0, le=1)]
) -> Pairs:
    """Pairs of sets whose Jaccard similarity is at least `similarity`; the score is the similarity, exact.

    `sketches` is a column made by `text_minhash`. The similarity |A ∩ B| / |A ∪ B| of two sets of shingles is
    computed from the sets themselves, for the pairs whose MinHash signatures agree in a band: b bands of r
    minima miss (1 - s^r)^b of the pairs of similarity s (Leskovec, Rajaraman and Ullman, "Mining of Massive
    Datasets", section 3.4), and r is the largest by which at most 1 % are missed at the threshold. With 128
    permutations these are 32 bands of 4 at 0.7, 21 of 6 at 0.8 and 12 of 10 at 0.9: 0.015 %, 0.17 % and 0.58 %
    of the pairs just at the threshold are missed, and at most 0.005 % of those that are 0.05 nearer.

    Sets that are equal are star pairs of score 1 (see `Pairs`), and all of them are found. Texts shorter than a
    shingle pair with equal ones only. Nulls match nothing and are counted.

    Sketches are read by the block; memory goes to some 300 bytes a text and to the pairs found, whatever the
    texts' length, and those of texts with a candidate go through a temporary file. Neither pairs nor scores
    depend on the order of the rows or on the blocks.
    """
    values = values_of(sketches)
    column = _look(values, similarity)
    found = Found(_FIX)
    compared = _Compared(column, similarity)
    wanted = np.zeros(len(column.rows), np.bool_)
    for i, j in compared.pairs():
        wanted[i] = wanted[j] = True
        found.looked_at(len(i))
        if found.compared > CANDIDATES_LIMIT:
            raise RunError(f"more than {CANDIDATES_LIMIT:,} pairs of texts look near", fix=_FIX)
    with tempfile.TemporaryFile(dir=values.folder) as file:
        sets = _Sets.spooled(values, column, np.flatnonzero(wanted), file)
        for i, j in compared.pairs():
            for part in portions(np.arange(len(i)), column.size[i] + column.size[j], _VERIFIED):
                score = sets.similarity(i[part], j[part])
                near = score >= np.float32(similarity)
                found.add(column.rows[i[part][near]], column.rows[j[part][near]], score[near])
    facts = {"method": "bands", "sets": len(column.rows), "compared": found.compared}
    if column.permutations:
        bands = choose(column.permutations, similarity)
        missed = bands.missed(similarity)
        facts |= {"bands": bands.count, "rows": bands.rows, "missed_at_threshold": missed}
    return assemble("jaccard", column.first, *found.columns(), facts=facts)


@dataclass(frozen=True)
class _Column:
    """What is kept of every sketch while all are compared."""

    first: Rows
    """[n] the first row of an equal sketch, -1 for nulls."""
    rows: Rows
    """[m] the first rows that hold a set."""
    size: Rows
    """[m] the number of elements of each such set."""
    keys: NDArray[np.uint32]
    """[bands, m] the hashes of its signature's bands."""
    permutations: int


def _look(values: Values, similarity: float) -> _Column:
    """Read all sketches once."""
    digests: list[pa.Array] = [pa.array([], pa.binary(16))]
    rows, size = np.empty(len(values), np.int64), np.empty(len(values), np.int64)
    keys = np.empty((0, len(values)), np.uint32)
    permutations, start, stop, seen = 0, 0, 0, 0
    for block in values.blocks():
        read = Sketches.read(block)
        digests.append(pa.array(read.digests(), pa.binary(16)))
        here = np.flatnonzero(read.permutations > 0)
        if len(here):
            if not permutations:
                permutations = int(read.permutations[here[0]])
                keys = np.empty((choose(permutations, similarity).count, len(values)), np.uint32)
            if (read.permutations[here] != permutations).any():
                problem = "the sketches have signatures of different lengths"
                raise UsageError(problem, fix="measure the column anew")
            stop = start + len(here)
            rows[start:stop] = seen + here
            size[start:stop] = read.sizes(here, permutations)
            signatures = read.signatures(here, permutations)
            keys[:, start:stop] = band_keys(signatures, choose(permutations, similarity))
            start = stop
        seen += len(block)
    first = first_rows(pa.concat_arrays(digests))  # in one piece: encoding chunks repeats the dictionary
    distinct = first[rows[:stop]] == rows[:stop]
    count = int(distinct.sum())
    for band in keys:  # in place: they are most of what is held
        band[:count] = band[:stop][distinct]
    return _Column(first, rows[:stop][distinct], size[:stop][distinct], keys[:, :count], permutations)


@dataclass(frozen=True)
class _Compared:
    """The candidates that are worth a look at their sets, by their number among a column's sets."""

    column: _Column
    similarity: float

    def pairs(self) -> Iterator[tuple[Rows, Rows]]:
        """Candidates whose sets are not too unlike in size: |A ∩ B| / |A ∪ B| ≤ |A| / |B|."""
        size = self.column.size
        for i, j in candidates(self.column.keys):
            least, most = np.minimum(size[i], size[j]), np.maximum(size[i], size[j])
            near = (least / most).astype(np.float32) >= np.float32(self.similarity)
            if near.any():
                yield i[near], j[near]


@dataclass(frozen=True)
class _Sets:
    """Sets of 32-bit elements in a file, each ascending."""

    file: IO[bytes]
    start: Rows
    """[m] the number of elements before each set of the column; what is not in the file has none."""
    size: Rows

    @classmethod
    def spooled(cls, values: Values, column: _Column, wanted: Rows, file: IO[bytes]) -> _Sets:
        """Write the `wanted` sets of a column into a file."""
        for block in values.take(column.rows[wanted]):
            read = Sketches.read(block)
            for row in range(len(block)):
                file.write(read.elements(row, column.permutations).data)
        kept = np.zeros_like(column.size)
        kept[wanted] = column.size[wanted]
        return cls(file, np.cumsum(kept) - kept, column.size)

    def similarity(self, i: Rows, j: Rows) -> NDArray[np.float32]:
        """The Jaccard similarity of each pair of sets."""
        both = np.concatenate([i, j])
        which, place = np.unique(both, return_inverse=True)
        elements = self._read(which)
        sizes = self.size[both]
        begins = np.cumsum(sizes) - sizes
        within = np.arange(sizes.sum()) - np.repeat(begins, sizes)
        starts = (np.cumsum(self.size[which]) - self.size[which])[place]
        pair = np.tile(np.arange(len(i), dtype=np.uint64), 2)
        # An element that both sets of a pair hold stands twice, side by side, once all are sorted by pair.
        held = elements[np.repeat(starts, sizes) + within] | np.repeat(pair << np.uint64(32), sizes)
        held.sort()
        twice = held[1:][held[1:] == held[:-1]] >> np.uint64(32)
        common = np.bincount(twice.astype(np.int64), minlength=len(i))
        return (common / (self.size[i] + self.size[j] - common)).astype(np.float32)

    def _read(self, which: Rows) -> NDArray[np.uint64]:
        parts = []
        for start, size in zip(self.start[which].tolist(), self.size[which].tolist(), strict=True):
            self.file.seek(4 * start)
            parts.append(self.file.read(4 * size))
        return np.frombuffer(b"".join(parts), "<u4").astype(np.uint64)
