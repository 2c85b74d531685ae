"""The layout of a text's sketch: what `text_minhash` writes for each text and `jaccard` reads by the block.

A sketch is a row of 32-bit words, little-endian:

    texts with shingles:  P | P words: the MinHash signature | the set: ascending hashes of the shingles, each once
    shorter texts:        0 | 4 words: the xxh3-128 of the text as it is

P is the number of permutations, the same in all sketches of a column. Two sketches are equal if, and (hashes
of unequal things being unequal) only if, the sets are, or the short texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from sluice.errors import UsageError

Words = NDArray[np.uint32]


def sketch_of_set(signature: Words, elements: Words) -> bytes:
    """The sketch of a set: its signature, and its elements ascending."""
    return np.concatenate([[len(signature)], signature, elements]).astype("<u4").tobytes()


def sketch_of_short(text: str) -> bytes:
    """The sketch of a text that has no shingle: equal to that of the same text only."""
    return bytes(4) + xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class Sketches:
    """A block of sketches, read."""

    words: Words
    """All words of the block's sketches."""
    start: NDArray[np.int64]
    """[n] where in `words` each sketch begins."""
    stop: NDArray[np.int64]
    """[n] where it ends; the same as `start` where the sketch is null."""

    @classmethod
    def read(cls, block: pa.Array) -> Sketches:
        """Read an Arrow array of (large) binary. Raises UsageError where it holds no sketches."""
        wide = block.cast(pa.large_binary())
        _, offsets, data = wide.buffers()
        bounds = np.frombuffer(offsets, np.int64)[wide.offset : wide.offset + len(wide) + 1]
        if len(wide) and (bounds % 4).any():
            raise _no_sketches()
        words = np.frombuffer(data or b"", "<u4", int(bounds[-1]) // 4 if len(wide) else 0)
        start = bounds[:-1] // 4
        stop = np.where(wide.is_valid().to_numpy(zero_copy_only=False), bounds[1:] // 4, start)
        found = cls(words, start, stop)
        counts = found.permutations
        if (counts[stop > start] >= (stop - start)[stop > start]).any():
            raise _no_sketches()
        return found

    @property
    def permutations(self) -> NDArray[np.int64]:
        """[n] the number of words of each signature; 0 for short texts, -1 for nulls."""
        counts = np.full(len(self.start), -1, np.int64)
        known = self.stop > self.start
        counts[known] = self.words[self.start[known]]
        return counts

    def digests(self) -> list[bytes | None]:
        """For each sketch the xxh3-128 of its bytes; None for nulls."""
        bounds = zip(self.start.tolist(), self.stop.tolist(), strict=True)
        return [xxhash.xxh3_128_digest(self.words[a:b].data) if b > a else None for a, b in bounds]

    def signatures(self, rows: NDArray[np.int64], count: int) -> Words:
        """[m, count] the signatures of some rows, all of `count` words."""
        found: Words = self.words[self.start[rows, None] + 1 + np.arange(count)]
        return found

    def sizes(self, rows: NDArray[np.int64], permutations: int) -> NDArray[np.int64]:
        """[m] the number of elements of some sets."""
        return (self.stop - self.start)[rows] - 1 - permutations

    def elements(self, row: int, permutations: int) -> Words:
        """The elements of a set, ascending."""
        return self.words[self.start[row] + 1 + permutations : self.stop[row]]


def _no_sketches() -> UsageError:
    return UsageError(
        "the column holds bytes that are no sketches", fix="give a column made by text_minhash, measured anew"
    )
