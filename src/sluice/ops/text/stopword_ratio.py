"""How many of a text's words are the small words that every sentence needs?"""

from __future__ import annotations

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.text.hashes import Listed, WordHashes
from sluice.ops.text.word_lists import STOPWORDS, WordList, words_of


@measure(version=1, cost="header", example="Do you need a cup of coffee?")
class text_stopword_ratio:  # noqa: N801 - an operator's name is its class's
    """Share of the words that are stop words of the language; 0 for a text without words.

    Words are taken in lower case, without special characters around them. `language` is a code of ISO 639-1
    (or `all`), `list` names the words: those of the package stopwordsiso (MIT; 57 languages, 1,298 English
    words, so that more words count than with the 301 of Data-Juicer and the bound can be higher), or the path
    of a file of yours (JSON or a word a line). The bound of 0.3 is Data-Juicer's.
    """

    def __init__(self, *, language: str = "en", list: WordList = STOPWORDS) -> None:
        self._language, self._list = language, list

    def open(self) -> None:
        """Read the list."""
        self._listed = Listed(words_of(self._list, self._language))

    def __call__(
        self, word_hashes: WordHashes
    ) -> Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="more stop words", bound="0.3..1")]:
        """The share in one text."""
        return self._listed.count(word_hashes) / max(len(word_hashes), 1)
