"""Texts that nobody wrote for people: huge, monotonous, broken, binary; every operator on texts gets by."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import stand_ins
from sluice.operator import Program, Spec, registry
from sluice.sample import Item, Media, Sample

SPECS = [
    spec
    for spec in registry()
    if spec.scope == "text"
    and spec.kind == "measure"
    and not any(field.is_required() for field in spec.settings.model_fields.values())
]
LEARNED = {"text_embedding", "text_t5_embedding"}
CHEAP = [spec.name for spec in SPECS if registry().bind(spec.name).cost == "header"]
SLOW = {"text_minhash", "text_token_count", "text_language", "text_language_score"}
"""Cheap, but with a cost a character that is another than the plain counters'."""

BINARY = bytes(range(256)) * 20
HOSTILE = {
    "empty": "",
    "blank": " \n\t\u3000\u2028",
    "one letter": "a",
    "surrogates": "\ud800a \udfff\ud83d b\udc80",
    "nulls": "\x00a\x00 \x00" * 50,
    "binary as Latin-1": BINARY.decode("latin-1"),
    "binary with escapes": BINARY.decode("utf-8", "surrogateescape"),
    "mixed encodings": "café "
    + "café".encode().decode("latin-1")
    + " "
    + "кофе".encode("cp1251").decode("latin-1"),
    "another language": "これは日本語の文章です。コーヒーはいかがですか？" * 5,
    "right to left": "\u202eمرحبا\u202c كيف حالك؟ " * 10,
    "marks only": "\u0301" * 1000,
    "emoji": "👩‍🚀❤️1️⃣" * 50,
    "beyond Unicode's letters": "\U000e0100\U0010ffff\ue000" * 20,
    "a word of a thousand letters": "x" * 1000,
    "punctuation": "!?." * 1000,
    "numbers": "0.1.2.3-4 " * 300,
    "line ends": "\r\n\v\f\x1c\x85\u2028" * 30,
    "brackets": "((((" * 500 + "<a href=" * 200,
}


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("models")
    return cache(lambda name: stand_ins.bind(name, folder))


def _sample(key: str, text: str) -> Sample:
    return Sample(id=key, key=key, items=(Item("text", text=text),))


@pytest.mark.parametrize("spec", [s for s in SPECS if s.name not in LEARNED], ids=lambda spec: spec.name)
def test_every_operator_says_something_or_declines(spec: Spec, bound: object) -> None:
    samples = [_sample(key, text) for key, text in HOSTILE.items()]
    measured = Program([bound(spec.name)])(samples)  # type: ignore[operator]
    for sample, notes in zip(samples, measured.notes, strict=True):
        assert [note for note in notes if note.kind != "declined"] == [], sample.key
    for output in spec.outputs:
        for sample, (value,), notes in zip(
            samples, measured.columns[output.name], measured.notes, strict=True
        ):
            assert value is not None or notes, f"{sample.key}: null without a reason"
            if output.kind == "number" and value is not None:
                low, high = output.field.ge, output.field.le
                assert low is None or value >= low, (sample.key, value)
                assert high is None or value <= high, (sample.key, value)


def test_bytes_that_are_no_utf8_are_unreadable_and_not_a_number() -> None:
    sample = Sample(id="0", key="0", items=(Item("text", media=Media(data=b"caf\xe9 \xff\xfe")),))
    measured = Program([registry().bind("text_length")])([sample])
    assert measured.columns["text_length"] == [[None]]
    assert measured.notes[0][0].kind == "unreadable"


def _seconds(program: Program, text: str) -> float:
    started = time.process_time()
    measured = program([_sample("0", text)])
    assert not any(note.kind == "error" for note in measured.notes[0])
    return time.process_time() - started


REPETITIONS = {
    "one letter": "a",
    "words": "a ",
    "lines": "a\n",
    "quotes": '."',
    "digits": "1-",
    "letters outside ASCII": "é",
    "blank lines": "\n \n",
    "at signs": "a@",
    "web addresses": "www.",
    "braces": "{",
}


@pytest.mark.parametrize("piece", REPETITIONS.values(), ids=REPETITIONS.keys())
def test_repetition_takes_time_in_proportion_to_length(piece: str) -> None:
    program = Program([registry().bind(name) for name in CHEAP if name not in SLOW]).open()
    program([_sample("0", "é")])  # tables
    short, long = (piece * (count // len(piece)) for count in (100_000, 1_000_000))
    least = min(_seconds(program, short) for _ in range(3))
    assert _seconds(program, long) < 10 * max(least, 0.02) * 2.5, "ten times as long: no more than 25 times"


EIGHT = (
    "text_alphanumeric_ratio",
    "text_character_repetition",
    "text_word_repetition",
    "text_word_count",
    "text_special_character_ratio",
    "text_stopword_ratio",
    "text_flagged_word_ratio",
    "text_length",
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one letter", "one line of words"])
def test_a_huge_text_is_measured_in_bounded_memory(kind: str) -> None:
    import resource

    if kind == "one letter":
        text = "a" * 10_000_000
    else:
        letters = np.random.default_rng(0).integers(97, 123, 50_000_000, dtype=np.uint8)
        letters[::7] = 32
        text = letters.tobytes().decode()
    program = Program([registry().bind(name) for name in EIGHT]).open()
    program([_sample("0", "é")])  # tables
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    measured = program([_sample("0", text)])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert measured.notes == [[]]
    assert grown < 32 * len(text), "bytes a character: 10 for its run, some 20 for its word"
    if kind == "one letter":
        assert measured.columns["text_character_repetition"] == [[1.0]]


def test_a_real_document_beside_them_keeps_its_values(data_dir: Path) -> None:
    import json

    line = (data_dir / "text" / "LLaMA-Factory__c4_demo.jsonl").open(encoding="utf-8")
    with line:
        good = _sample("good", json.loads(line.readline())["text"])
    program = Program([registry().bind(name) for name in CHEAP if name not in SLOW])
    alone = program([good]).columns
    beside = program([good, *(_sample(key, text) for key, text in HOSTILE.items())]).columns
    assert {name: values[0] for name, values in beside.items()} == {n: v[0] for n, v in alone.items()}
