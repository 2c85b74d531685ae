"""How many words has a text?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.text.hashes import WordHashes


@measure(version=1, cost="header", example="Today is Sun")
def text_word_count(
    word_hashes: WordHashes,
) -> Annotated[int, Field(unit="words", ge=0, higher_is="longer", bound=">= 10")]:
    """Number of words: split at spaces, line feeds and tabs, special characters stripped, empties dropped.

    `Today is Sun` has 3, `- - -` none. A script written without spaces counts as one word a phrase.
    """
    return len(word_hashes)
