"""How long are a text's lines on average?"""

from typing import Annotated

from sluice.operator import Field, measure


@measure(version=1, cost="header", example="First line.\nSecond.")
def text_mean_line_length(
    text: str,
) -> Annotated[float, Field(unit="code points", ge=0, higher_is="longer lines", bound=">= 10")]:
    """Code points of the text divided by its lines, line breaks and blank lines counted; 0 for the empty text.

    The example has 19 of 2 lines: 9.5. So Data-Juicer counts, whose bound this is; code on one line and lists of
    names stand out.
    """
    return len(text) / max(len(text.splitlines()), 1)
