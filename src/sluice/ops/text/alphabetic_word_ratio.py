"""How many of a text's words have a letter?"""

from __future__ import annotations

import re
from typing import Annotated

from sluice.operator import Field, measure

_WORD_WITH_LETTER = re.compile(r"[^\W\d_]\S*")


@measure(version=1, cost="header", example="Room 12, 3rd floor")
def text_alphabetic_word_ratio(
    text: str,
) -> Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="more letters", bound=">= 0.8")]:
    """Share of the words that hold at least one letter of any script; 0 for a blank text.

    Words are what stands between white space: the example has 3 of 4. Rae et al., Gopher (2021), keep texts with
    at least 0.8.
    """
    with_letter = sum(1 for _ in _WORD_WITH_LETTER.finditer(text))
    return with_letter / max(len(text.split()), 1)
