"""How much of a text is punctuation, digits, white space and symbols?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.text.characters import SPECIAL, Kinds, count


@measure(version=1, cost="header", example="Do you need a cup of coffee?")
def text_special_character_ratio(
    kinds: Kinds,
) -> Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="more special", bound="0..0.25")]:
    """Share of the code points that are special; 0 for the empty text.

    Special are ASCII punctuation, digits and white space, and all that Unicode calls punctuation (P*), symbols
    (S*, the emoji among them) or separators (Z*), with the joiner, the variation selectors and the keycap that
    emoji are composed with. `Do you need a cup of coffee?` has 7 of 28: 0.25.

    The definition is by Unicode's categories. Others list some two hundred characters by hand, and the emoji
    of one code point: letters and full-width digits that stand in such a list (`１`) are not special here,
    and punctuation or symbols that it forgot are.
    """
    return count(kinds, SPECIAL) / max(len(kinds), 1)
