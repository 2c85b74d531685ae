"""Tokenizers that are one file: a `tokenizer.json` of Hugging Face, or CLIP's list of byte pairs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from sluice.errors import PlanError
from sluice.operator.extra import imported

CLIP_PAIRS = 49152 - 256 - 2
"""Merges of CLIP's vocabulary of 49,408: the file has more than it uses (openai/CLIP, `simple_tokenizer.py`)."""

_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def load_tokenizer(path: Path) -> Any:
    """The `tokenizers.Tokenizer` of a `tokenizer.json`, of the folder that holds one, or of CLIP's byte pairs."""
    tokenizers = imported("tokenizers", "models")
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        if file.name.endswith((".txt", ".txt.gz")):
            return clip_tokenizer(file)
        found = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:
        # The library raises bare Exceptions.
        raise PlanError(
            f"no tokenizer can be read: {error}",
            where=str(file),
            fix="give a tokenizer.json, or bpe_simple_vocab_16e6.txt.gz",
        ) from error
    found.no_truncation()
    found.no_padding()
    return found


def clip_tokenizer(path: Path) -> Any:
    """CLIP's tokenizer (Radford et al., 2021) from its published merges, `bpe_simple_vocab_16e6.txt.gz`.

    Byte-level pairs within words of letters, single digits and runs of other characters, in lower case, after
    NFC and with white space made one space, as transformers' CLIP tokenizer does.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        pairs = [line.split() for line in lines.read().strip().split("\n")[1 : CLIP_PAIRS + 1]]
    merges = [(left, right) for left, right in pairs]  # ValueError where a line has not two parts
    letters = sorted(pre_tokenizers.ByteLevel.alphabet(), key=_byte_order)
    tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    found = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>", fuse_unk=False))
    found.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return found


def _byte_order(letter: str) -> tuple[bool, int]:
    """Printable Latin-1 characters stand for themselves and come first, the others after them (GPT-2)."""
    return ord(letter) > 255, ord(letter)
