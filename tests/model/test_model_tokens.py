"""Texts become token ids whose length the text alone decides."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from transformers import AutoTokenizer

from sluice.errors import Declined
from sluice.model.runner import Row
from sluice.model.tokens import Tokens, answered

Tiny = Callable[[str], str]


def _row(tokens: Tokens, text: str) -> Row:
    row = tokens(text)
    assert not isinstance(row, Declined)
    return row


def test_ids_are_those_of_the_tokenizer_and_the_rest_is_padding(tiny_model: Tiny) -> None:
    folder = tiny_model("clip")
    plain = AutoTokenizer.from_pretrained(folder)("a photo of two cats")
    row = _row(Tokens(folder, fixed=True), "a photo of two cats")
    used = len(plain["input_ids"])
    assert row["input_ids"].shape == (77,)
    assert row["input_ids"][:used].tolist() == plain["input_ids"]
    assert row["attention_mask"].tolist() == [1] * used + [0] * (77 - used)


def test_texts_beyond_the_limit_are_cut_and_keep_their_last_token(tiny_model: Tiny) -> None:
    tokens = Tokens(tiny_model("clip"), fixed=True)
    row = _row(tokens, "two cats on red grass " * 100)
    end = _row(tokens, "cat")["input_ids"][2]
    assert row["input_ids"].shape == (77,)
    assert row["input_ids"][-1] == end
    assert row["attention_mask"].all()


@pytest.mark.parametrize(("words", "length"), [(1, 64), (62, 64), (63, 128), (200, 256), (5000, 512)])
def test_lengths_are_multiples_of_64_up_to_the_limit(tiny_model: Tiny, words: int, length: int) -> None:
    row = _row(Tokens(tiny_model("blip_matching")), " ".join(["cat"] * words))
    assert row["input_ids"].shape == (length,)
    assert row["attention_mask"].sum() == min(words + 2, length)


@pytest.mark.parametrize("text", ["", " \n\t", "\u2003"])
def test_blank_texts_are_declined(tiny_model: Tiny, text: str) -> None:
    declined = Tokens(tiny_model("clip"))(text)
    assert isinstance(declined, Declined)
    assert declined.reason == "no text"


def test_odd_texts_are_read(tiny_model: Tiny) -> None:
    tokens = Tokens(tiny_model("clip"))
    for text in ("\ud800", "a \udfff cat", "\x00\u202e\U0001f600", "<|endoftext|>"):
        assert _row(tokens, text)["input_ids"].dtype == np.int64


def test_endless_texts_take_no_longer(tiny_model: Tiny) -> None:
    tokens = Tokens(tiny_model("blip_matching"))
    _row(tokens, "warm")
    started = time.process_time()
    _row(tokens, "a" * 10_000_000)
    _row(tokens, "cat sits " * 1_000_000)
    assert time.process_time() - started < 2


def test_declined_rows_keep_their_places() -> None:
    row, declined = {"x": np.zeros(1)}, Declined("no text")
    found = answered([declined, row, declined, row], lambda rows: [np.array([k]) for k in range(len(rows))])
    assert found[0] is declined
    assert found[2] is declined
    assert [int(found[k][0]) for k in (1, 3)] == [0, 1]  # type: ignore[index]
    assert answered([declined], lambda rows: []) == [declined]
