"""Small models of language: n-grams, word pieces, tokenizers, a parser and a language identifier, made on the spot."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SENTENCES = (
    "the cat sits on the grass",
    "a small dog runs on the red grass",
    "the dog sits and the cat runs",
    "do you need a cup of coffee",
    "a picture of two dogs on the grass",
)
GRAMMAR = {
    # word: tag, part of speech, dependency, offset of the head
    "the": ("DT", "DET", "det", 1),
    "a": ("DT", "DET", "det", 1),
    "green": ("JJ", "ADJ", "amod", 1),
    "to": ("TO", "PART", "aux", 1),
    "play": ("VB", "VERB", "ROOT", 0),
    "runs": ("VBZ", "VERB", "ROOT", 0),
    "is": ("VBZ", "AUX", "aux", 1),
    "piano": ("NN", "NOUN", "dobj", -1),
    "it": ("PRP", "PRON", "nsubj", 1),
    ".": (".", "PUNCT", "punct", -1),
}
"""What the tiny parser knows; every other word is a noun that is a root by itself."""


def byte_pairs(path: Path) -> str:
    """Byte pairs in the form of CLIP's: a first line of no use, then a merge a line."""
    from tiny_models import WORDS

    merges: dict[str, None] = {}
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merges[f"{parts[0]} {parts[1]}"] = None
            parts[:2] = [parts[0] + parts[1]]
    target = path.with_name(path.name + ".txt.gz")
    target.write_bytes(gzip.compress("\n".join(['"version"', *merges]).encode(), mtime=0))
    return str(target)


def pieces(path: Path) -> str:
    """A SentencePiece model of some thirty pieces, trained on a few sentences."""
    from sentencepiece import SentencePieceTrainer

    target = path.with_name(path.name + ".model")
    with target.open("wb") as writer:
        SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES),
            model_writer=writer,
            vocab_size=32,
            num_threads=1,
            minloglevel=2,
            hard_vocab_limit=False,
        )
    return str(target)


def ngrams(path: Path, words: dict[str, float] | None = None) -> str:
    """A bigram model in ARPA's format: log10 probabilities of words, `<unk>` for all others."""
    known = {"▁the": -1.0, "▁a": -1.25, "▁": -0.75, "s": -1.5} if words is None else words
    lines = ["\\data\\", f"ngram 1={len(known) + 3}", "ngram 2=1", "", "\\1-grams:"]
    lines += ["-2.5\t<unk>\t0", "-99\t<s>\t-0.25", "-0.5\t</s>\t0"]
    lines += [f"{score}\t{word}\t0" for word, score in known.items()]
    lines += ["", "\\2-grams:", f"-0.125\t<s> {next(iter(known))}", "", "\\end\\", ""]
    target = path.with_name(path.name + ".arpa")
    target.write_text("\n".join(lines), encoding="utf-8")
    return str(target)


def ngrams_and_pieces(path: Path) -> str:
    """An n-gram model with its pieces beside it, named as CCNet names them."""
    pieces(path.with_name(path.name + ".sp"))
    return ngrams(path)


def parser(folder: Path) -> str:
    """A spaCy pipeline that sets tags, parts of speech and heads of the words of `GRAMMAR`."""
    import spacy

    pipeline = spacy.blank("en")
    rules: Any = pipeline.add_pipe("attribute_ruler")
    rest = {"LOWER": {"NOT_IN": list(GRAMMAR)}}
    rules.add([[rest]], {"TAG": "NN", "POS": "NOUN", "DEP": "ROOT"})
    for word, (tag, kind, relation, head) in GRAMMAR.items():
        matched = [{"LOWER": word}]
        rules.add([matched], {"TAG": tag, "POS": kind, "DEP": relation})
        if head > 0:
            rules.add([[*matched, *[{}] * head]], {"HEAD": head}, index=0)
        if head < 0:
            rules.add([[*[{}] * -head, *matched]], {"HEAD": (1 << 64) + head}, index=-head)  # as unsigned
    pipeline.to_disk(folder)
    return str(folder)


def language_classifier(path: Path, words: dict[str, tuple[float, ...]], labels: Sequence[str]) -> str:
    """A fastText classifier in its own binary format, version 12: a vector a word, the mean's softmax over labels."""
    size = len(labels)
    entries = [(word, 5, 0) for word in words] + [(f"__label__{label}", 5, 1) for label in labels]
    softmax, supervised = 3, 3
    whole = struct.pack("<ii", 793712314, 12)
    whole += struct.pack("<12id", size, 5, 5, 1, 5, 1, softmax, supervised, 0, 0, 0, 100, 1e-4)
    whole += struct.pack("<iiiqq", len(entries), len(words), size, 5 * len(entries), -1)
    for name, count, kind in entries:
        whole += name.encode() + b"\0" + struct.pack("<qb", count, kind)
    vectors = np.array(list(words.values()), np.float32)
    for matrix in (vectors, np.eye(size, dtype=np.float32)):
        whole += struct.pack("<?qq", False, *matrix.shape) + matrix.tobytes()
    path.write_bytes(whole)
    return str(path)
