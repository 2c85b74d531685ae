"""Is a text prose, or a list with a word a line?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.text.words import Words


@measure(version=1, cost="header", example="one\ntwo\nthree four")
def text_newline_ratio(
    text: str, words: Words
) -> Annotated[float, Field(unit="line feeds a word", ge=0, higher_is="more like a list", bound="<= 0.3")]:
    """Line feeds divided by words; the line feeds themselves where there are no words.

    Words are those of `text_word_count`. datatrove's FineWeb filters (Penedo et al., 2024) keep texts with at
    most 0.3. The example has 2/4.
    """
    return text.count("\n") / max(len(words), 1)
