"""The language of a text and how sure that is, found once for all operators that ask."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from sluice.errors import Declined, MissingError, PlanError
from sluice.model import files
from sluice.model.files import Model
from sluice.model.langid import packaged_identifier
from sluice.operator import feature
from sluice.operator.extra import imported
from sluice.operator.spec import Inherited

PACKAGED = "py3langid"
"""The identifier that a Python package brings along."""
_READ = 100_000  # code points that are looked at: far more than it takes to know a language
_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")


class Identified(NamedTuple):
    """A language as the identifier's labels call it, and its probability, 0 to 1."""

    label: str
    score: float


def _digest(name: str) -> str:
    if name != PACKAGED:
        return files.digest(name)
    try:
        return version(PACKAGED)
    except PackageNotFoundError:
        raise MissingError(f"{PACKAGED} is not installed", fix="pip install 'sluice[text]'") from None


def _about(name: str) -> str:
    return "py3langid (BSD-3-Clause)" if name == PACKAGED else files.about(name)


LanguageModel = Annotated[str, Model(_digest, _about), Inherited()]
"""A setting that names a language identifier: `py3langid`, or a fastText model by path or name."""


@feature(scope="text", version=1, cost="header", libraries=("py3langid", "fasttext-predict"))
class identified_language:  # noqa: N801 - an operator's name is its class's
    """The most probable language and its probability; of the text in lower case with line breaks as spaces.

    `model` is py3langid (Lui and Baldwin, "langid.py", 2012; 97 languages by ISO 639-1 code), or a fastText
    classifier whose labels are languages, such as `lid.176.bin` (Joulin et al., 2016; 176 languages). The
    first 100,000 code points are read, lone surrogates as `?`.
    """

    def __init__(self, *, model: LanguageModel = PACKAGED) -> None:
        self._model = model

    def open(self) -> None:
        """Load the identifier."""
        packaged = self._model == PACKAGED
        self._identify = (
            packaged_identifier().classify if packaged else fasttext_labels(files.find(self._model))
        )

    def __call__(self, text: str) -> Identified:
        """The language of one text; blank texts are declined with `no text`."""
        shown = _BREAKS.sub(" ", text[:_READ].lower()).encode("utf-8", "replace").decode().strip()
        if not shown:
            raise Declined("no text", "the text is blank")
        label, score = self._identify(shown)
        return Identified(label, min(float(score), 1.0))


def fasttext_labels(path: Path) -> Callable[[str], tuple[str, float]]:
    """The first label (without fastText's prefix) and probability that a fastText classifier gives for one line."""
    fasttext = imported("fasttext", "text")
    try:
        model: Any = fasttext.load_model(str(path))
    except (ValueError, RuntimeError) as error:
        raise PlanError(
            f"not a fastText model: {error}", where=str(path), fix="give the path of lid.176.bin"
        ) from error

    def identify(line: str) -> tuple[str, float]:
        labels, scores = model.predict(line, k=1)
        if not labels:
            raise Declined("no known words", "the identifier knows no part of the text")
        return labels[0].removeprefix("__label__"), scores[0]

    return identify
