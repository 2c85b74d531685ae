"""Loads transformers models and tokenizers from local folders, whole or not at all."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sluice.errors import MissingError
from sluice.operator.extra import imported

WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
TOKENIZER = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
PREPROCESSOR = ("preprocessor_config.json", "processor_config.json")


def transformers_module() -> Any:
    """The transformers module, imported now; MissingError with the command that installs it."""
    return imported("transformers", "models")


def require(folder: str, *wanted: Sequence[str]) -> Path:
    """The folder, if of each group of names at least one file is there; MissingError names what is not."""
    path = Path(folder)
    for names in (("config.json",), *wanted):
        if not any((path / name).is_file() for name in names):
            raise MissingError(
                f"the model is incomplete: it has no {names[0]}",
                where=str(path),
                fix="fetch the model again, or copy the whole folder of its publisher"
                + (f" (one of {', '.join(names)})" if len(names) > 1 else ""),
            )
    return path


def config(folder: str) -> dict[str, Any]:
    """A model's `config.json`, read without any library."""
    path = require(folder) / "config.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MissingError(
            f"config.json is damaged: {error}", where=str(path), fix="fetch it again"
        ) from error
    return found


@cache
def pretrained(kind: str, folder: str, device: str, dtype: Any, unused: str = "") -> Any:
    """A model of the class `transformers.<kind>` with the folder's weights, ready for inference; loaded once.

    Raises MissingError where a file or any weight is not there, except those whose names begin with `unused`:
    transformers by itself would fill what it does not find with random numbers and go on.
    """
    require(folder, WEIGHTS)
    transformers = transformers_module()
    try:
        with quiet():
            model, loading = getattr(transformers, kind).from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that they are told below, by name
            )
    except Exception as error:  # whatever a damaged file makes the library raise is one finding for the user
        raise damaged(folder, kind, error) from error
    absent = sorted({*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])})
    absent = [key for key in absent if not (unused and key.startswith(unused))]
    if absent:
        shown = ", ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
        raise MissingError(
            f"the model's files do not hold all weights of {kind}: {shown}",
            where=folder,
            fix="name a model of this kind, or fetch it again",
        )
    return model.eval().requires_grad_(False).to(device)


@cache
def tokenizer(folder: str) -> Any:
    """The folder's tokenizer; loaded once."""
    require(folder, TOKENIZER)
    transformers = transformers_module()
    try:
        with quiet():
            return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise damaged(folder, "tokenizer", error) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers' progress bars and advice to itself while something is loaded."""
    logging = transformers_module().utils.logging
    verbosity, with_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if with_bars:
            logging.enable_progress_bar()


def damaged(folder: str, what: str, error: Exception) -> MissingError:
    """What to raise where a library cannot load a folder as what it was said to be."""
    first = str(error).strip().partition("\n")[0]
    return MissingError(
        f"the model cannot be loaded as {what}: {type(error).__name__}: {first}",
        where=folder,
        fix="fetch the model again, or name a model of this kind",
    )
