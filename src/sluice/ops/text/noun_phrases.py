"""The things that a caption names, shared by operators that look for them in the picture."""

from __future__ import annotations

import re
import string
from typing import Annotated, Any

from sluice.errors import Declined, MissingError, PlanError
from sluice.model.files import digest, find
from sluice.operator import feature
from sluice.operator.extra import imported
from sluice.operator.spec import Contents

NounPhrases = Annotated[list[str], "unique, lower case, in the order of the text"]

_GRAMMAR = re.compile("D?J*N+")
_KINDS = {"DT": "D", "JJ": "J", "NN": "N"}
_GREATEST_LENGTH = 10_000
_NOT_NEEDED = ("parser", "ner", "lemmatizer", "senter")
_PUNCTUATION = str.maketrans("", "", "".join(set(string.punctuation) - set("-/_<>=~\\")) + "’")


def pipeline_digest(name: str) -> str:
    """What a spaCy pipeline holds: the version of an installed package, or a digest of a folder's files.

    MissingError with the command that installs it where it is neither.
    """
    util = spacy_library().util
    if util.is_package(name):
        return str(util.get_package_version(name))
    try:
        find(name)
    except MissingError as error:
        raise MissingError(
            f"the spaCy pipeline {name!r} is not on this machine",
            where=error.where,
            fix=f"`python -m spacy download {name}`, or give the path of its folder",
        ) from error
    return digest(name)


@feature(scope="text", version=1, cost="model", libraries=("spacy",))
class noun_phrases:  # noqa: N801 - an operator's name is its class's
    """Noun phrases by the grammar DT? JJ* NN+ over Penn Treebank tags: `the small cat`, `two dogs` as `dogs`.

    The text in lower case is tagged by the spaCy `pipeline` (an installed package's name or a folder); phrases
    without punctuation, each once. Only the first 10,000 code points are read. Declined with `no phrases` where
    there are none.
    """

    def __init__(self, *, pipeline: Annotated[str, Contents(pipeline_digest)] = "en_core_web_sm") -> None:
        self._name = pipeline

    def open(self) -> None:
        """Load the pipeline and see that it tags."""
        util = spacy_library().util
        name = self._name if util.is_package(self._name) else find(self._name)
        self._tag: Any = spacy_library().load(name, exclude=_NOT_NEEDED)
        if not self._tag("a cat").has_annotation("TAG"):
            raise PlanError(
                f"the spaCy pipeline {self._name!r} sets no part-of-speech tags",
                fix="name one with a tagger, such as en_core_web_sm",
            )

    def __call__(self, text: str) -> NounPhrases:
        """The phrases of one text."""
        tokens = [token for token in self._tag(_readable(text)) if not token.is_space]
        kinds = "".join(_KINDS.get(token.tag_[:2], "-") for token in tokens)
        found = (
            " ".join(token.text for token in tokens[match.start() : match.end()])
            .translate(_PUNCTUATION)
            .strip()
            for match in _GRAMMAR.finditer(kinds)
        )
        phrases = list(dict.fromkeys(phrase for phrase in found if phrase))
        if not phrases:
            raise Declined("no phrases", "the text names nothing")
        return phrases


def _readable(text: str) -> str:
    return text[:_GREATEST_LENGTH].encode("utf-8", "replace").decode("utf-8").lower()


def spacy_library() -> Any:
    """The spacy module, imported now; MissingError with the command that installs it."""
    return imported("spacy", "text")
