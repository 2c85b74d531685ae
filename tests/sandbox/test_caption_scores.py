"""BLEU, CIDEr and recall against the values of their authors' programs, and at their edges."""

from __future__ import annotations

import numpy as np
import pytest

from sluice.sandbox.proxy.caption_scores import bleu, cider
from sluice.sandbox.proxy.presets import IMAGE_TEXT
from sluice.sandbox.proxy.retrieval import recall, same_rows
from sluice.sandbox.proxy.shapes import COLOURS, GROUNDS, MOTIONS, PLACES, SHAPES, SIZES
from sluice.sandbox.proxy.words import END, PAD, START, numbered, said

WRITTEN = [
    "a small red ring at the top on black ground",
    "a large blue bar at the left on gray ground",
    "the cat sat on the mat today",
    "a dog runs in the green park",
]
KNOWN = [
    ["a small red ring at the top left on black ground", "there is a small red ring on black"],
    ["a large blue bar at the right on gray ground"],
    ["the cat is on the mat", "a cat sat on the mat today again"],
    ["a brown dog runs fast through the green park"],
]


def split(captions: list[str]) -> list[list[str]]:
    return [caption.split() for caption in captions]


def test_bleu_and_cider_are_those_of_the_published_programs() -> None:
    references = [split(known) for known in KNOWN]
    # sacrebleu 2.6.0 (tokenize none, smooth_method none); cider.py of pycocoevalcap 1.2
    assert bleu(split(WRITTEN), references) == pytest.approx(0.6387405917501866, abs=1e-12)
    assert cider(split(WRITTEN), references) == pytest.approx(5.223585502462329, abs=1e-9)


def test_bleu_and_cider_at_their_ends() -> None:
    references = [split(known[:1]) for known in KNOWN]
    same = [known[0] for known in references]
    assert bleu(same, references) == 1
    assert cider(same, references) == pytest.approx(10)
    assert bleu([[]] * 4, references) == cider([[]] * 4, references) == 0
    assert bleu(split(["x y z w"] * 4), references) == cider(split(["x y z w"] * 4), references) == 0


def test_recall_counts_the_own_among_the_first() -> None:
    alike = np.array([[3.0, 2, 1], [5, 4, 1], [2, 2, 1]])
    nobody = np.eye(3, dtype=bool)
    assert recall(alike, nobody, (1, 2, 3)) == {1: 1 / 3, 2: 2 / 3, 3: 1.0}
    assert recall(np.ones((4, 4)), np.eye(4, dtype=bool), (1, 3)) == {1: 0.0, 3: 0.0}


def test_an_equal_caption_is_as_right() -> None:
    same = same_rows(np.array([[1, 2], [3, 4], [1, 2]]))
    assert same.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    alike = np.array([[1.0, 0, 2], [0, 1, 0], [2, 0, 1]])
    assert recall(alike, same, (1,)) == {1: 1.0}


def test_captions_become_numbers_and_end() -> None:
    row = numbered("A red ring, a RED bar!", 600, 10)
    assert row[0] == START
    assert said(row) == [int(n) for n in row[1:9]]
    assert row[1] == row[5]
    assert row[2] == row[6] > END
    assert row[9] == END
    short = numbered("a red", 600, 10)
    assert short[3:].tolist() == [END] + [PAD] * 6
    assert said(short) == short[1:3].tolist()
    assert 0 < numbered("word " * 50, 600, 10)[9] == END


def test_no_two_words_of_captioned_shapes_have_one_number() -> None:
    said_of_shapes = [*COLOURS, *GROUNDS, *SIZES, *PLACES, *MOTIONS, *SHAPES, "a at the on ground"]
    words = sorted({word for words in said_of_shapes for word in words.split()})
    row = numbered(" ".join(words), IMAGE_TEXT["smoke"].shape.form.vocabulary, len(words) + 2)
    assert len(words) == len(set(said(row))) == 35
