"""How unlike the language of an encyclopaedia is a text?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field as Setting

from sluice.errors import Declined, PlanError
from sluice.model import files
from sluice.model.files import Model, find
from sluice.operator import Field, measure
from sluice.operator.extra import imported
from sluice.ops.text.ccnet import normalised


def _pieces_beside(model: Path) -> Path:
    """Where CCNet puts the pieces of a language's model: `en.sp.model` beside `en.arpa.bin`."""
    return model.with_name(model.name.removesuffix(".bin").removesuffix(".arpa") + ".sp.model")


def _digest(name: str) -> str:
    beside = _pieces_beside(find(name))
    return files.digest(name) + (files.digest(str(beside)) if beside.is_file() else "")


def _digest_given(name: str) -> str:
    return files.digest(name) if name else ""


_LINE = 100_000  # code points of a line that is scored at once; the lattice of a longer one would be huge


@measure(
    version=1, cost="model", libraries=("kenlm", "sentencepiece"), example="The quick fox jumps over the dog."
)
class text_perplexity:  # noqa: N801 - an operator's name is its class's
    """Perplexity by an n-gram model over SentencePiece pieces: 10^(−Σ s / Σ (p + 1)).

    s is the log₁₀ probability of a line with its beginning and end (KenLM; Heafield 2011), p the number of
    its pieces; sums are over lines (Wenzek et al., "CCNet", 2020). The lower, the more like the texts that the
    model was trained on. `model` is a KenLM file (.arpa or .bin) by path or name, `sentencepiece` the path of
    the piece model that belongs to it (by default the file beside it: `en.sp.model` for `en.arpa.bin`).

    `normalize: ccnet` brings every line into the form that these models were trained on: lower case, no
    accents, digits as 0, punctuation as ASCII's, no control characters. `normalize: none` takes the text as one
    line as it stands, and `round` says to how many decimals the value is rounded (default: it is not): with
    `round: 1` this is what Data-Juicer gives, whose bound this is.
    Lines beyond 100,000 code points are scored in parts of that length. Texts without a piece are declined.
    """

    def __init__(
        self,
        *,
        model: Annotated[str, Model(_digest, files.about)] = "kenlm-wikipedia-en",
        sentencepiece: Annotated[str, Model(_digest_given, files.about)] = "",
        normalize: Literal["ccnet", "none"] = "ccnet",
        round: Annotated[int, Setting(ge=0, le=12)] | None = None,
    ) -> None:
        self._model, self._pieces = model, sentencepiece
        self._normalize, self._round = normalize == "ccnet", round

    def open(self) -> None:
        """Load both models."""
        model = find(self._model)
        self._score = language_model(model).score
        self._encode = piece_model(find(self._pieces or str(_pieces_beside(model)))).encode

    def __call__(
        self, text: str
    ) -> Annotated[float, Field(unit="perplexity", ge=0, higher_is="less like it", bound="<= 1500")]:
        """The perplexity of one text."""
        total, length = 0.0, 0
        for line in self._lines(text):
            pieces = self._encode(line, out_type=str)
            for scored in " ".join(pieces).splitlines():
                total += self._score(scored, bos=True, eos=True)
                length += len(scored.split()) + 1
        if not length:
            raise Declined("no text", "the text has no piece")
        value: float = 10.0 ** (-total / length)
        return value if self._round is None else round(value, self._round)

    def _lines(self, text: str) -> Iterator[str]:
        shown = text.encode("utf-8", "replace").decode().replace("\0", "")
        for line in shown.splitlines() if self._normalize else [shown]:
            whole = normalised(line) if self._normalize else line
            yield from (whole[start : start + _LINE] for start in range(0, len(whole), _LINE))


def language_model(path: Path) -> Any:
    """The KenLM model in a file; PlanError where it holds none."""
    kenlm = imported("kenlm", "text")
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config)
    except OSError as error:
        raise PlanError(
            f"not a KenLM model: {error}", where=str(path), fix="give an .arpa or KenLM .bin file"
        ) from error


def piece_model(path: Path) -> Any:
    """The SentencePiece model in a file; PlanError where it holds none."""
    pieces = imported("sentencepiece", "text")
    try:
        return pieces.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise PlanError(
            f"not a SentencePiece model: {error}", where=str(path), fix="give a .model file"
        ) from error
