"""The grammar of a text, parsed once for all operators that ask: words with part of speech and head."""

from __future__ import annotations

from typing import Annotated, Any

from sluice.errors import Declined, PlanError
from sluice.model.files import find
from sluice.operator import feature
from sluice.operator.spec import Contents, Inherited
from sluice.ops.text.noun_phrases import pipeline_digest, spacy_library

Parsed = Annotated[Any, "a spacy.tokens.Doc with tags, parts of speech and dependencies"]
Pipeline = Annotated[str, Contents(pipeline_digest), Inherited()]
"""A setting that names a spaCy pipeline: an installed package, or a folder by path or name."""

PIPELINE = "en_core_web_md"
_GREATEST_LENGTH = 100_000
_NOT_NEEDED = ("ner", "lemmatizer")


@feature(scope="text", version=1, cost="model", libraries=("spacy",))
class parsed:  # noqa: N801 - an operator's name is its class's
    """The text as a spaCy `pipeline` with tagger and parser reads it; lone surrogates as `?`.

    Declined with `no text` for blank texts, with `too long` beyond 100,000 code points: a parser needs a
    second and a gigabyte for about as much.
    """

    def __init__(self, *, pipeline: Pipeline = PIPELINE) -> None:
        self._name = pipeline

    def open(self) -> None:
        """Load the pipeline and see that it tags and parses."""
        spacy = spacy_library()
        name = self._name if spacy.util.is_package(self._name) else find(self._name)
        self._parse: Any = spacy.load(name, exclude=_NOT_NEEDED)
        made = self._parse("a cat")
        missing = [kind for kind in ("TAG", "POS", "DEP") if not made.has_annotation(kind)]
        if missing:
            raise PlanError(
                f"the spaCy pipeline {self._name!r} does not set {', '.join(missing)}",
                fix="name one with a tagger and a parser, such as en_core_web_md",
            )

    def __call__(self, text: str) -> Parsed:
        """The parse of one text."""
        if len(text) > _GREATEST_LENGTH:
            raise Declined("too long", f"more than {_GREATEST_LENGTH:,} code points")
        shown = text.encode("utf-8", "replace").decode()
        if not shown.strip():
            raise Declined("no text", "the text is blank")
        return self._parse(shown)
