"""How many words do all texts of a sample have?"""

from typing import Annotated

from sluice.operator import Field, measure


@measure(version=1, cost="header")
def sample_word_count(
    text_word_count: list[int | None],
) -> Annotated[int, Field(unit="words", ge=0, higher_is="longer", bound=">= 10")]:
    """Words of all texts of the sample, as `text_word_count` counts them; 0 where it has no text.

    A text that cannot be read adds none. `["Two words", "and three more"]` has 5. The same number as
    `{text_word_count: {over: document, as: document_word_count}}`, which has no value where there is no text.
    """
    return sum(count or 0 for count in text_word_count)
