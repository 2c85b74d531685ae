"""How many of a text's words are obscene?"""

from __future__ import annotations

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.text.hashes import Listed, WordHashes
from sluice.ops.text.word_lists import FLAGGED, WordList, words_of


@measure(version=1, cost="header", example="Do you need a cup of coffee?")
class text_flagged_word_ratio:  # noqa: N801 - an operator's name is its class's
    """Share of the words that stand in a list of flagged words; 0 for a text without words.

    Words are taken in lower case, without special characters around them; single words only, so that what a
    list has of several words is never met. `list` names the words: by default some 150 English ones of
    our own, sexual, vulgar and slurs, without the medical and everyday words and those by which groups call
    themselves that make long lists unfair (Dodge et al., "Documenting Large Webtext Corpora", 2021); or the path
    of a file of yours (JSON or a word a line), such as LDNOOBW (CC-BY-4.0). `language` is its code in that
    list, or `all`. The bound of 0.045 is Data-Juicer's, for its own list.
    """

    def __init__(self, *, language: str = "en", list: WordList = FLAGGED) -> None:
        self._language, self._list = language, list

    def open(self) -> None:
        """Read the list."""
        self._listed = Listed(words_of(self._list, self._language))

    def __call__(
        self, word_hashes: WordHashes
    ) -> Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="more flagged words", bound="0..0.045")]:
        """The share in one text."""
        return self._listed.count(word_hashes) / max(len(word_hashes), 1)
