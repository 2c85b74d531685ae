"""Items that fall, and samples that fall by them: a slow and plain reference decides the same."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.ops.dedup.cosine import cosine
from sluice.ops.dedup.hamming import hamming
from sluice.store.groups import Semantics
from sluice.store.item_groups import duplicate_items, resolve_items


@dataclass
class Case:
    """Items with the hash of each, their samples, which take part, the order of samples, and who is alive."""

    hashes: list[int]
    samples: list[int]
    part: list[bool]
    order: list[int]
    alive: list[bool]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    n = draw(st.integers(1, 7))
    samples = sorted(draw(st.lists(st.integers(0, n - 1), max_size=14)))
    hashes = [draw(st.integers(0, 63)) for _ in samples]
    part = [draw(st.sampled_from([True, True, True, False])) for _ in samples]
    alive = [draw(st.sampled_from([True, True, True, False])) for _ in range(n)]
    return Case(hashes, samples, part, draw(st.permutations(range(n))), alive)


def reference(case: Case, distance: int, above: float, semantics: Semantics) -> list[int]:
    """Who falls, by looking at every item and every pair: for each sample the ones it may be a duplicate of."""
    here = [i for i in range(len(case.hashes)) if case.part[i] and case.alive[case.samples[i]]]
    # The nearest of equal hashes is chosen by whether any item of that hash takes part.
    near = {i: {j for j in here if (case.hashes[i] ^ case.hashes[j]).bit_count() <= distance} for i in here}
    if semantics == "components":
        changed = True
        while changed:
            wider = {i: set().union(*(near[j] for j in near[i])) for i in here}
            changed = wider != near
            near = wider
    kept: list[int] = []
    fallen = []
    for sample in sorted(range(len(case.alive)), key=lambda s: case.order[s]):
        own = [i for i in here if case.samples[i] == sample]
        met = [i for i in own if any(case.samples[j] in kept for j in near[i])]
        if own and met and Fraction(len(met), len(own)) > Fraction(above):
            fallen.append(sample)
        elif case.alive[sample]:
            kept.append(sample)
    return sorted(fallen)


@settings(deadline=None, max_examples=300)
@given(
    cases(),
    st.integers(0, 2),
    st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    st.sampled_from(["greedy", "components"]),
)
def test_samples_fall_as_the_plain_reference_says(
    case: Case, distance: int, above: float, semantics: Semantics
) -> None:
    pairs = hamming(np.array(case.hashes, np.uint64), distance=distance)
    alive = np.array(case.alive)
    found = resolve_items(
        pairs, np.array(case.samples, np.int64), np.array(case.part, bool), np.array(case.order), above,
        semantics, among=alive,
    )  # fmt: skip
    fallen = np.flatnonzero(found.duplicate_of >= 0)
    assert fallen.tolist() == reference(case, distance, above, semantics)
    keeper = found.duplicate_of[fallen]
    assert (found.duplicate_of[keeper] == -1).all()
    assert alive[keeper].all()
    order = np.array(case.order)
    assert (order[keeper] < order[fallen]).all()
    assert ((found.group == -1) == ~alive).all()
    assert (found.score[fallen] <= distance).all() if semantics == "greedy" else np.isnan(found.score).all()


def test_the_nearest_item_names_the_twin_and_copies_within_a_sample_do_not_count() -> None:
    away = np.deg2rad([0, 90, 5, 92, 200, 200, 40])
    vectors = np.stack([np.cos(away), np.sin(away)], axis=1).astype(np.float32)
    samples = np.array([0, 1, 2, 2, 3, 3, 4])
    pairs = cosine(vectors, similarity=float(np.cos(np.deg2rad(10))))
    found = resolve_items(pairs, samples, np.ones(7, bool), np.arange(5), 0.5, among=np.ones(5, bool))
    assert found.duplicate_of.tolist() == [-1, -1, 1, -1, -1]  # 2° from sample 1, 5° from sample 0
    assert found.score[2] == np.float32(np.cos(np.deg2rad(2)))


def near_of(case: Case, distance: int, semantics: Semantics) -> dict[int, set[int]]:
    """For each item that takes part the others that do and match it, itself among them."""
    here = [i for i in range(len(case.hashes)) if case.part[i]]
    near = {i: {j for j in here if (case.hashes[i] ^ case.hashes[j]).bit_count() <= distance} for i in here}
    while semantics == "components":
        wider = {i: set().union(*(near[j] for j in near[i])) for i in here}
        if wider == near:
            break
        near = wider
    return near


def dropped_items(case: Case, distance: int, semantics: Semantics) -> list[int]:
    pairs = hamming(np.array(case.hashes, np.uint64), distance=distance)
    samples, part = np.array(case.samples, np.int64), np.array(case.part, bool)
    found = duplicate_items(pairs, samples, part, np.array(case.order), semantics)
    return [int(holder) for holder in found]


@settings(deadline=None, max_examples=300)
@given(cases(), st.integers(0, 2), st.sampled_from(["greedy", "components"]))
def test_items_fall_as_the_plain_reference_says(case: Case, distance: int, semantics: Semantics) -> None:
    near = near_of(case, distance, semantics)
    kept: list[int] = []
    for sample in sorted(range(len(case.alive)), key=lambda s: case.order[s]):
        own = [i for i in near if case.samples[i] == sample]
        kept += [i for i in own if not any(j in near[i] for j in kept)]
    holders = dropped_items(case, distance, semantics)
    assert [i for i in near if holders[i] < 0] == sorted(kept)
    assert all(holder < 0 for holder, part in zip(holders, case.part, strict=True) if not part)
    for item in (i for i in near if holders[i] >= 0):
        # In another sample, before this one, stays an item that matches it.
        assert case.order[holders[item]] < case.order[case.samples[item]]
        assert any(case.samples[k] == holders[item] for k in near[item] if k in kept)
    for a in kept if semantics == "greedy" else ():
        assert all(case.samples[b] == case.samples[a] for b in near[a] if b in kept)


@settings(deadline=None, max_examples=200)
@given(cases(), st.integers(0, 2), st.sampled_from(["greedy", "components"]), st.data())
def test_which_items_fall_does_not_depend_on_how_samples_and_items_are_numbered(
    case: Case, distance: int, semantics: Semantics, data: st.DataObject
) -> None:
    names = data.draw(st.permutations(range(len(case.alive))))  # the new number of each sample
    rows = sorted(range(len(case.hashes)), key=lambda i: (names[case.samples[i]], i))
    order = [0] * len(names)
    for old, new in enumerate(names):
        order[new] = case.order[old]
    renamed = Case(
        [case.hashes[i] for i in rows],
        [names[case.samples[i]] for i in rows],
        [case.part[i] for i in rows],
        order,
        case.alive,
    )
    before, after = dropped_items(case, distance, semantics), dropped_items(renamed, distance, semantics)
    assert after == [names[before[i]] if before[i] >= 0 else -1 for i in rows]


def test_copies_within_a_sample_stay_and_fall_together() -> None:
    case = Case([5, 5, 9, 5, 5], [0, 0, 1, 2, 2], [True] * 5, [0, 1, 2], [True] * 3)
    assert dropped_items(case, 0, "greedy") == [-1, -1, -1, 0, 0]
