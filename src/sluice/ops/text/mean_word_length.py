"""How long are a text's words on average?"""

from typing import Annotated

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.text.words import Words


@measure(version=1, cost="header", example="Today is Sun")
def text_mean_word_length(
    words: Words,
) -> Annotated[float, Field(unit="code points", ge=1, higher_is="longer words", bound="3..10")]:
    """Code points of the words divided by their number; `Today is Sun` has 10/3.

    Words are those of `text_word_count`, without special characters around them. Rae et al., Gopher (2021), keep
    texts between 3 and 10. Texts without words are declined.
    """
    if not words:
        raise Declined("no words")
    return sum(map(len, words)) / len(words)
