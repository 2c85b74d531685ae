"""Units: the same cuts for the same listing, keys that tell what changed, limits that cut exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sluice.plan import cut, with_known_content
from sluice.readers.protocol import FileStat, Slice
from sluice.sample import Sample


class Shards:
    """A reader of made shards; the sizes of some are not known before they are read."""

    format, version, addressable = "made", 1, True

    def __init__(self, counts: Sequence[int], told: Sequence[bool], mtime_ns: int = 1) -> None:
        self.counts, self.told, self.mtime_ns = counts, told, mtime_ns

    def slices(self) -> Iterator[Slice]:
        for k, (count, told) in enumerate(zip(self.counts, self.told, strict=True)):
            file = FileStat(f"{k}.tar", 100 + count, self.mtime_ns)
            yield Slice((file,), samples=count if told else None)

    def read(self, part: Slice, rows: object = None) -> Iterator[Sample]:
        number = int(part.files[0].path.partition(".")[0])
        return (Sample(id=f"{number}-{k}", key=str(k)) for k in range(self.counts[number]))


SHARDS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=6)


@given(SHARDS, st.integers(1, 20))
def test_a_limit_takes_exactly_the_first_samples(shards: list[tuple[int, bool]], limit: int) -> None:
    counts, told = [c for c, _ in shards], [t for _, t in shards]
    units = list(cut(Shards(counts, told), limit=limit))
    taken = [min(u.max_rows, counts[u.index]) if u.max_rows is not None else counts[u.index] for u in units]
    assert sum(taken) == min(limit, sum(counts))
    assert taken == list(_greedy(counts, limit))[: len(taken)]


def _greedy(counts: Sequence[int], limit: int) -> Iterator[int]:
    for count in counts:
        yield min(count, limit)
        limit -= min(count, limit)


@given(SHARDS)
def test_keys_are_stable_and_different(shards: list[tuple[int, bool]]) -> None:
    counts, told = [c for c, _ in shards], [t for _, t in shards]
    first, again = list(cut(Shards(counts, told))), list(cut(Shards(counts, told)))
    assert first == again
    assert len({u.key for u in first}) == len(first)
    touched = list(cut(Shards(counts, told, mtime_ns=2)))
    assert [u.loose for u in touched] == [u.loose for u in first]
    assert not {u.key for u in touched} & {u.key for u in first}
    settled = list(cut(Shards(counts, told), settings={"columns": "x"}))
    assert not {u.loose for u in settled} & {u.loose for u in first}


def test_touched_units_take_the_key_of_equal_content_only() -> None:
    before = list(cut(Shards([3, 4], [True, True])))
    touched = list(cut(Shards([3, 4], [True, True], mtime_ns=2)))
    known = [u.key for u in before]
    same = list(with_known_content(touched, known, lambda unit, key: unit.index == 0))
    assert [u.key for u in same] == [before[0].key, touched[1].key]
    # What is known under its own key is not compared at all.
    assert list(with_known_content(before, known, lambda unit, key: 1 / 0 > 0)) == before
    assert replace(same[0], key=touched[0].key) == touched[0]
