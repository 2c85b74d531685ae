"""Finds every pair of distinct hashes within a Hamming radius, by the blocks that `radius_plan` chooses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sluice.ops.dedup.collect import Found, Rows
from sluice.ops.dedup.radius_bits import Words, arrange, bit_range, read_bits, varying_bits
from sluice.ops.dedup.radius_plan import Block, Plan, choose

CANDIDATES = 1 << 18  # pairs verified at a time: some 10 MB a thread, near the processor's cache
TILE = 512  # rows compared with as many others at once where buckets are large
DENSE = 4096  # two buckets with this many pairs between them are compared in tiles instead of gathered
MASKS = 16  # masks of one task: enough to outweigh its start, few enough to keep all threads busy


def near_pairs(
    hashes: NDArray[np.uint64],
    distance: int,
    found: Found,
    *,
    threads: int | None = None,
    plan: Plan | None = None,
) -> None:
    """Add to `found` rows a, b and their distance for every pair within `distance` bits, each pair once.

    `hashes` [n, words] must be distinct. `threads` and `plan` change the time taken and nothing else. Memory
    goes to one sorted copy of the hashes and the tables of one block (at most 2^24 keys), some 200 MB for a
    million 64-bit hashes, and to the pairs found. Raises RunError where there are more than `found` takes.
    """
    n = len(hashes)
    if n < 2 or distance < 1:
        return
    varying, match = varying_bits(hashes)
    blocks = (plan or choose(n, len(varying), distance, match)).blocks
    words = arrange(hashes, varying, [block.width for block in blocks])
    with ThreadPoolExecutor(threads or _cores()) as pool:
        if not blocks:
            verify = _Verify(words, np.arange(n, dtype=np.int64), distance, (), found)
            list(pool.map(verify.strip, range(0, n, TILE)))
        for place in range(len(blocks)):
            index = _index(words, distance, blocks, place, found)
            list(pool.map(lambda look: look(), index.looks()))


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        return os.cpu_count() or 1


@dataclass(frozen=True)
class _Verify:
    """Turns candidate pairs of positions in `words` into verified pairs of rows."""

    words: Words
    rows: Rows  # the row at each position
    distance: int
    earlier: tuple[tuple[list[np.uint64], int], ...]  # masks over the words and radius of each earlier block
    found: Found

    def candidates(self, i: Rows, j: Rows) -> None:
        """Compare gathered pairs, word by word, going on with those that may still be near."""
        self.found.looked_at(len(i))
        total = np.zeros(len(i), np.uint16)
        for word in self.words:
            total += np.bitwise_count(word.take(i) ^ word.take(j))
            near = np.flatnonzero(total <= self.distance)
            i, j, total = i[near], j[near], total[near]
        if self.earlier and len(i):
            new = ~self._seen(i, j)
            i, j, total = i[new], j[new], total[new]
        if len(i):
            self.found.add(self.rows[i], self.rows[j], total)

    def tiles(self, a: tuple[int, int], b: tuple[int, int]) -> None:
        """Compare all positions of range `a` with all of `b`; of themselves where both are the same."""
        for top in range(a[0], a[1], TILE):
            bottom = min(top + TILE, a[1])
            for left in range(top if a == b else b[0], b[1], TILE):
                self._tile((top, bottom), (left, min(left + TILE, b[1])))

    def strip(self, top: int) -> None:
        """Compare the positions from `top` to `top` + TILE with themselves and all later ones."""
        n = len(self.rows)
        bottom = min(top + TILE, n)
        for left in range(top, n, TILE):
            self._tile((top, bottom), (left, min(left + TILE, n)))

    def _tile(self, a: tuple[int, int], b: tuple[int, int]) -> None:
        total: NDArray[np.uint8] | NDArray[np.uint16] | None = None
        for word in self.words:
            part = np.bitwise_count(word[slice(*a), None] ^ word[None, slice(*b)])
            total = part if total is None else total + part.astype(np.uint16)
        if total is None:
            return
        self.found.looked_at(total.size)
        hit = np.flatnonzero(total <= self.distance)
        width = b[1] - b[0]
        i, j = a[0] + hit // width, b[0] + hit % width
        if a == b:
            i, j = i[i < j], j[i < j]
        if len(i):
            self.candidates(i, j)

    def _seen(self, i: Rows, j: Rows) -> NDArray[np.bool_]:
        """True where an earlier block has already brought the pair up."""
        differing = [word.take(i) ^ word.take(j) for word in self.words]
        seen = np.zeros(len(i), bool)
        for masks, radius in self.earlier:
            total = np.zeros(len(i), np.uint16)
            for mask, bits in zip(masks, differing, strict=True):
                if mask:
                    total += np.bitwise_count(bits & mask)
            seen |= total <= radius
        return seen


@dataclass(frozen=True)
class _Index:
    """One block: positions sorted by the block's key, where each key's bucket begins, which keys exist."""

    block: Block
    keys: Rows  # the distinct keys, ascending
    begin: NDArray[np.int32]  # [2^width + 1]
    exists: NDArray[np.bool_]  # [2^width]
    verify: _Verify

    def looks(self) -> Iterator[partial[None]]:
        """The tasks that together bring up every pair whose keys differ in at most `radius` bits."""
        yield partial(self.within_buckets)
        for high in range(self.block.width):
            masks = [
                (1 << high) + sum(1 << bit for bit in lower)
                for weight in range(self.block.radius)
                for lower in combinations(range(high), weight)
            ]
            for start in range(0, len(masks), MASKS):
                yield partial(self.between_buckets, high, masks[start : start + MASKS])

    def within_buckets(self) -> None:
        """Bring up the pairs of equal keys."""
        start = self.begin.take(self.keys).astype(np.int64)
        size = self.begin.take(self.keys + 1) - start
        pairs = size * (size - 1) // 2
        for k in np.flatnonzero(pairs >= DENSE):
            span = (int(start[k]), int(start[k] + size[k]))
            self.verify.tiles(span, span)
        few = np.flatnonzero((pairs > 0) & (pairs < DENSE))
        for part in _portions(few, pairs[few]):
            i, bucket = _ranges(start[part], size[part])
            end = (start[part] + size[part])[bucket]
            j, first = _ranges(i + 1, end - i - 1)
            self.verify.candidates(i[first], j)

    def between_buckets(self, high: int, masks: list[int]) -> None:
        """Bring up the pairs whose keys differ by one of `masks`, of which `high` is the highest bit."""
        lower = self.keys[(self.keys >> high) & 1 == 0]  # each pair of buckets is met from one side only
        for mask in masks:
            other = lower ^ mask
            hit = np.flatnonzero(self.exists.take(other))
            if len(hit):
                self._join(lower[hit], other[hit])

    def _join(self, left: Rows, right: Rows) -> None:
        start_a, start_b = self.begin.take(left).astype(np.int64), self.begin.take(right).astype(np.int64)
        size_a, size_b = self.begin.take(left + 1) - start_a, self.begin.take(right + 1) - start_b
        pairs = size_a * size_b
        for k in np.flatnonzero(pairs >= DENSE):
            a, b = int(start_a[k]), int(start_b[k])
            self.verify.tiles((a, a + int(size_a[k])), (b, b + int(size_b[k])))
        few = np.flatnonzero(pairs < DENSE)
        for part in _portions(few, pairs[few]):
            i, bucket = _ranges(start_a[part], size_a[part])
            j, first = _ranges(start_b[part][bucket], size_b[part][bucket])
            self.verify.candidates(i[first], j)


def _index(words: Words, distance: int, blocks: tuple[Block, ...], place: int, found: Found) -> _Index:
    offsets = np.cumsum([0, *(block.width for block in blocks)])
    block = blocks[place]
    keys = read_bits(words, int(offsets[place]), block.width)
    order = np.argsort(keys)
    begin = np.zeros(2**block.width + 1, np.int32)
    np.cumsum(np.bincount(keys, minlength=2**block.width), out=begin[1:])
    exists = begin[1:] > begin[:-1]
    earlier = tuple(
        (bit_range(len(words), int(offsets[k]), blocks[k].width), blocks[k].radius) for k in range(place)
    )
    verify = _Verify([word[order] for word in words], order, distance, earlier, found)
    return _Index(block, np.flatnonzero(exists), begin, exists, verify)


def _ranges(start: Rows, count: Rows) -> tuple[Rows, Rows]:
    """Concatenate the ranges [start, start + count) and say from which range each element comes."""
    owner = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return np.arange(len(owner)) + (start - before)[owner], owner


def _portions(items: Rows, pairs: Rows) -> Iterator[Rows]:
    """Cut `items` where their pairs fill the room for candidates."""
    filled = np.cumsum(pairs) // CANDIDATES
    cuts = np.flatnonzero(np.diff(filled)) + 1
    yield from (part for part in np.split(items, cuts) if len(part))
