"""How much of a text is letters and digits?"""

import re
from typing import Annotated, Literal

from sluice.operator import Field, measure
from sluice.ops.text.characters import ALPHANUMERIC, Kinds, count

_TOKEN = re.compile(r"\w+|[^\w\s]")


@measure(version=1, cost="header", example="Do you need a cup of coffee?")
def text_alphanumeric_ratio(
    text: str, kinds: Kinds, *, unit: Literal["character", "token"] = "character"
) -> Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="more letters and digits", bound=">= 0.25")]:
    """Share of the code points that are letters or digits of any script (Unicode L* and N*); 0 where there are none.

    `Do you need a cup of coffee?` has 21 of 28: 0.75. With `unit: token`, the share of tokens that are made of
    letters alone, where a token is a run of letters, digits and low lines, or one character that is neither
    of these nor white space: the same sentence has 7 of 8.
    """
    if unit == "character":
        return count(kinds, ALPHANUMERIC) / max(len(kinds), 1)
    tokens = alphabetic = 0
    for match in _TOKEN.finditer(text):
        tokens += 1
        alphabetic += match[0].isalpha()
    return alphabetic / max(tokens, 1)
