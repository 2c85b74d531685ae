"""How long is a text?"""

from typing import Annotated

from sluice.operator import Field, measure


@measure(version=1, cost="header", example="Today is")
def text_length(
    text: str,
) -> Annotated[int, Field(unit="code points", ge=0, higher_is="longer", bound=">= 10")]:
    """Number of Unicode code points, white space included: `Today is` has 8, the empty text 0."""
    return len(text)
