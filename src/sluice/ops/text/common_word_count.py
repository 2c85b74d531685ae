"""Does a text use the words that every English text uses?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.text.words import LowercaseWords

_COMMON = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})


@measure(version=1, cost="header", example="The cat and the dog")
def text_common_word_count(
    lowercase_words: LowercaseWords,
) -> Annotated[int, Field(unit="words", ge=0, le=8, higher_is="more like prose", bound=">= 2")]:
    """How many of `the`, `be`, `to`, `of`, `and`, `that`, `have` and `with` come in the text, each counted once.

    Rae et al., Gopher (2021), keep English texts with at least two. The example has 2. For other languages see
    `text_stopword_ratio`.
    """
    return len(_COMMON.intersection(lowercase_words))
