"""Sketches of texts: what they hold, what they leave out, and which texts share one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import Declined
from sluice.ops.dedup.jaccard_sketch import Sketches
from sluice.ops.text.minhash import text_minhash
from sluice.ops.text.shingles import shingle_hashes

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "É", "字"]), min_size=5, max_size=60)


def read(sketch: bytes) -> tuple[list[int], list[int]]:
    """The signature and the elements of a sketch."""
    found = Sketches.read(pa.array([sketch], pa.large_binary()))
    (count,) = found.permutations.tolist()
    if not count:
        return [], found.words[1:].tolist()
    return found.signatures(np.array([0]), count)[0].tolist(), found.elements(0, count).tolist()


@given(WORDS)
def test_a_sketch_holds_the_set_of_shingles(words: list[str]) -> None:
    text = " ".join(words)
    signature, elements = read(text_minhash(text))
    assert len(signature) == 128
    assert elements == sorted({value >> 32 for value in shingle_hashes(text, 5).tolist()})


@given(WORDS, st.integers(128, 256), st.integers(1, 5))
@settings(max_examples=30)
def test_texts_of_one_set_have_one_sketch(words: list[str], permutations: int, size: int) -> None:
    options = {"permutations": permutations, "size": size}
    text = " ".join(words)
    again = "  ".join(words).upper() + "!"
    assert text_minhash(again, **options) == text_minhash(text, **options)
    assert len(read(text_minhash(text, **options))[0]) == permutations


def test_signatures_agree_as_often_as_sets_do() -> None:
    """E[share of equal minima] = Jaccard similarity, with a variance of J(1 - J)/P at most."""
    random = np.random.default_rng(0)
    share = []
    for trial in range(200):
        words = [f"w{trial}x{k}" for k in random.permutation(300)]
        a, _ = read(text_minhash(" ".join(words[:200]), size=1))
        b, _ = read(text_minhash(" ".join(words[100:]), size=1))  # 100 of 300 in both
        share.append(np.mean(np.array(a) == np.array(b)))
    assert np.mean(share) == pytest.approx(1 / 3, abs=4 * (1 / 3 * 2 / 3 / 128 / 200) ** 0.5)
    assert np.std(share) < 1.2 * (1 / 3 * 2 / 3 / 128) ** 0.5


def test_signatures_are_those_that_were_stored_before() -> None:
    signature, elements = read(text_minhash("The quick brown fox jumps over the lazy dog"))
    assert signature[:4] == [3312875713, 3279521655, 3456608326, 3557110054]
    assert elements == [187394407, 2281783996, 2741133897, 3583118293, 3706738468]


def test_a_short_text_has_the_sketch_of_no_other() -> None:
    assert text_minhash("Yes!") == text_minhash("Yes!")
    different = ["Yes!", "Yes?", "yes!", "Yes! ", "one two three four", "one two three five", "!", "?"]
    assert len({text_minhash(text) for text in different}) == len(different)


@pytest.mark.parametrize("text", ["", " ", "\n\t\u00a0"])
def test_a_text_of_nothing_has_no_sketch(text: str) -> None:
    with pytest.raises(Declined, match="no text"):
        text_minhash(text)


@pytest.mark.parametrize(
    "text",
    ["\ud800", "a\ud800b " * 9, "\0" * 40, "e\u0301 " * 9, "🙂 " * 9, "字" * 40, "\U0010ffff a b c d e"],
)
def test_odd_texts_have_sketches(text: str) -> None:
    assert text_minhash(text) == text_minhash(text)
    assert text_minhash(text, unit="characters") == text_minhash(text, unit="characters")


def test_a_huge_repeated_text_has_a_small_sketch() -> None:
    words, letter = text_minhash("spam " * 2_000_000), text_minhash("x" * 10_000_000)
    assert len(words) == 4 * (1 + 128 + 1)
    assert len(letter) == 20
    assert len(text_minhash("x" * 10_000_000, unit="characters")) == 4 * (1 + 128 + 1)
