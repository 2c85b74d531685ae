"""Operators on texts that hold a model: real loading code on small models, and what becomes of wrong ones."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

import tiny_models
import tiny_text_models
from sluice.errors import Declined, MissingError, PlanError
from sluice.model.byte_pairs import load_tokenizer
from sluice.operator import Measured, Program, registry
from sluice.ops.text.ccnet import normalised
from sluice.ops.text.language_id import fasttext_labels, identified_language
from sluice.ops.text.perplexity import text_perplexity
from sluice.ops.text.token_count import _PART, text_token_count
from sluice.sample import Item, Sample

HARD = [
    "Don't stop, we've 42 cats!",
    "naïve  Ångström\n\té",
    "日本語 テキスト😀",
    "<|endoftext|> x",
    "a" * 300,
]


def _measured(operator: str, text: str, **settings: Any) -> Measured:
    sample = Sample(id="0", key="0", items=(Item("text", text=text),))
    return Program([registry().bind(operator, settings)])([sample])


def _value(operator: str, text: str, **settings: Any) -> Any:
    return _measured(operator, text, **settings).columns[operator][0][0]


def test_clips_byte_pairs_are_those_of_transformers(data_dir: Path) -> None:
    from transformers import CLIPTokenizer

    path = data_dir / "models" / "CLIP__bpe_simple_vocab_16e6.txt.gz"
    ours = load_tokenizer(path)
    vocabulary = ours.get_vocab()
    assert len(vocabulary) == 49408 - 2, "start and end of text are not in the file"
    ids = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = [tuple(pair) for pair in json.loads(ours.to_str())["model"]["merges"]]
    whole = {token: k for k, token in enumerate([*ids, "<|startoftext|>", "<|endoftext|>"])}
    theirs = CLIPTokenizer(vocab=whole, merges=merges)
    documents = (data_dir / "text" / "LLaMA-Factory__c4_demo.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [text for text in HARD if "<|" not in text] + documents[:35]
    for text in texts:
        expected = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text, add_special_tokens=False).ids == expected
    # Numbers that CLIP's own code gives for these words.
    assert ours.encode("a photo of a cat", add_special_tokens=False).ids == [320, 1125, 539, 320, 2368]


def test_tokens_are_counted_by_a_tokenizer_file_and_never_cut(tmp_path: Path) -> None:
    tokens = tiny_models.bert_tokenizer()
    tokens.save_pretrained(tmp_path / "bert")
    for name in ("bert", "bert/tokenizer.json"):
        count = text_token_count(tokenizer=str(tmp_path / name))
        count.open()
        assert count("the cat") == 2, "special tokens are not counted"
        assert count("the cat " * 1000) == 2000
    assert _value("text_token_count", "\ud800 the", tokenizer=str(tmp_path / "bert")) == 2
    assert _value("text_token_count", "", tokenizer=str(tmp_path / "bert")) == 0


def test_long_texts_are_encoded_in_parts_that_end_at_white_space(tmp_path: Path) -> None:
    count = text_token_count(tokenizer=tiny_text_models.byte_pairs(tmp_path / "pairs"))
    count.open()
    assert count("cat " * (_PART // 2)) == _PART // 2


@pytest.mark.parametrize(
    ("name", "data"), [("tokenizer.json", b"{}"), ("x.txt.gz", b"no gzip"), ("x.txt", b"a\na b c")]
)
def test_what_is_no_tokenizer_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PlanError, match=r"no tokenizer can be read"):
        load_tokenizer(tmp_path / name)


def test_a_missing_model_stops_the_plan_with_the_command_that_fetches_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLUICE_MODELS", str(tmp_path))
    for name, fetch in (("text_token_count", "clip-bpe"), ("text_perplexity", "kenlm-wikipedia-en")):
        with pytest.raises(MissingError, match=f"sluice models fetch {fetch}"):
            _ = registry().bind(name).fingerprint
    with pytest.raises(MissingError, match=r"lid\.176"):
        _ = registry().bind("text_language", {"model": "lid.176"}).fingerprint


def test_the_packaged_identifier_knows_languages() -> None:
    samples = {
        "Do you need a cup of coffee?": "en",
        "Möchten Sie eine Tasse Kaffee?\nJa, sehr gern!": "de",
        "VOULEZ-VOUS UNE TASSE DE CAFÉ ?": "fr",
        "你需要一杯咖啡吗？": "zh",
        " \n": None,
    }
    names = ("text_language", "text_language_score")
    program = Program([registry().bind(name) for name in names])
    texts = [Sample(id="", key=text, items=(Item("text", text=text),)) for text in samples]
    measured = program(texts)
    assert measured.columns["text_language"] == [[language] for language in samples.values()]
    *scores, blank = (score for (score,) in measured.columns["text_language_score"])
    assert all(0.8 <= score <= 1 for score in scores)
    assert blank is None
    assert measured.notes[-1][0].reason == "no text"


def test_a_fasttext_classifier_by_path(tmp_path: Path) -> None:
    vectors = {"coffee": (20.0, 0.0), "kaffee": (0.0, 2.0), "tee": (0.0, 1.0)}
    model = tiny_text_models.language_classifier(tmp_path / "lid.bin", vectors, ["en", "de"])
    assert _value("text_language", "COFFEE\nx", model=model) == "en"
    assert _value("text_language_score", "coffee", model=model) == 1.0, "cut to 1"
    assert _value("text_language", "Kaffee\nTee", model=model) == "de"
    # The mean of both vectors is (0, 1.5): softmax of a difference of 1.5.
    assert _value("text_language_score", "Kaffee\nTee", model=model) == pytest.approx(0.817574, abs=2e-3)
    identify = identified_language(model=model)
    identify.open()
    with pytest.raises(Declined, match=r"knows no part"):
        identify("qqq")


def test_scores_above_one_are_cut_off(tmp_path: Path) -> None:
    model = identified_language()
    model._identify = lambda line: ("en", 1.00005)
    assert model("text").score == 1.0


def test_what_is_no_fasttext_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"no model at all")
    with pytest.raises(PlanError, match=r"not a fastText model"):
        fasttext_labels(tmp_path / "x.bin")


def test_perplexity_is_that_of_its_formula(tmp_path: Path) -> None:
    from sentencepiece import SentencePieceProcessor

    model = tiny_text_models.ngrams_and_pieces(tmp_path / "lm")
    pieces = SentencePieceProcessor(model_file=str(tmp_path / "lm.sp.model"))
    total, length = 0.0, 0
    unigrams = {"▁the": -1.0, "▁a": -1.25, "▁": -0.75, "s": -1.5}
    for line in ("the cat", "a dog"):
        found = pieces.encode(line, out_type=str)
        first, *rest = found
        # <s> ▁the is a bigram of the model; every other beginning backs off with the weight of <s>.
        total += -0.125 if first == "▁the" else -0.25 + unigrams.get(first, -2.5)
        total += sum(unigrams.get(piece, -2.5) for piece in rest) - 0.5
        length += len(found) + 1
    expected = 10 ** (-total / length)
    assert _value("text_perplexity", "The cat\n\na DOG", model=model) == pytest.approx(expected, rel=1e-5)
    whole = _value("text_perplexity", "the cat\na dog", model=model, normalize="none", round=1)
    assert whole == round(whole, 1)
    assert whole != round(expected, 1), "without normalisation the text is one line"


def test_pieces_by_path_and_texts_without_pieces(tmp_path: Path) -> None:
    model, pieces = tiny_text_models.ngrams(tmp_path / "lm"), tiny_text_models.pieces(tmp_path / "other")
    perplexity = text_perplexity(model=model, sentencepiece=pieces)
    perplexity.open()
    assert perplexity("the cat") > 1
    with pytest.raises(Declined):
        perplexity(" \n\x00")
    with pytest.raises(MissingError, match=r"lm\.sp\.model"):
        text_perplexity(model=model).open()
    with pytest.raises(PlanError, match=r"not a SentencePiece model"):
        text_perplexity(model=model, sentencepiece=model).open()
    with pytest.raises(PlanError, match=r"not a KenLM model"):
        text_perplexity(model=pieces, sentencepiece=pieces).open()


def test_the_pieces_beside_a_model_belong_to_its_fingerprint(tmp_path: Path) -> None:
    model = tiny_text_models.ngrams(tmp_path / "lm")
    alone = registry().bind("text_perplexity", {"model": model}).fingerprint
    tiny_text_models.pieces(tmp_path / "lm.sp")
    assert registry().bind("text_perplexity", {"model": model}).fingerprint != alone


def test_ccnets_normal_form() -> None:
    assert normalised("  Übër 1984 – „ja“…\u00a0\x07") == 'uber 0000 - "ja"...'
    assert normalised("１２，ＡＢ") == "00,ａｂ"
    decomposed = unicodedata.normalize("NFD", "é")
    assert normalised("É") == normalised(decomposed) == "e"


def test_grammar_by_a_pipeline(tmp_path: Path) -> None:
    pipeline = tiny_text_models.parser(tmp_path / "parser")
    assert _value("text_action_count", "to play piano. It is green", pipeline=pipeline) == 1
    columns = _measured("text_entity_dependency_count", "to play piano. star", pipeline=pipeline).columns
    found = {name.rpartition("_")[2]: values[0][0] for name, values in columns.items()}
    # `piano` depends on `play`; the full stop after it is punctuation; nothing is tied to `star`.
    assert found == {"min": 0, "max": 1, "entities": 2}
    for text, reason in [("", "no text"), ("x" * 100_001, "too long"), ("to play.", "no entities")]:
        measured = _measured("text_entity_dependency_count", text, pipeline=pipeline)
        assert measured.notes[0][0].reason == reason


def test_a_parse_is_shared(tmp_path: Path) -> None:
    pipeline = tiny_text_models.parser(tmp_path / "parser")
    names = ("text_action_count", "text_entity_dependency_count")
    program = Program([registry().bind(name, {"pipeline": pipeline}) for name in names])
    assert program.step_names.count("parsed") == 1


def test_a_pipeline_without_a_parser_is_refused(tmp_path: Path) -> None:
    from sluice.ops.text.parsed import parsed

    with pytest.raises(PlanError, match=r"does not set POS, DEP"):
        parsed(pipeline=tiny_models.tagger(tmp_path / "tagger")).open()
