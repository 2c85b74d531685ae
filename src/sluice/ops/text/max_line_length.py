"""How long is a text's longest line?"""

from typing import Annotated

from sluice.operator import Field, measure


@measure(version=1, cost="header", example="First line.\nSecond.")
def text_max_line_length(
    text: str,
) -> Annotated[int, Field(unit="code points", ge=0, higher_is="longer lines", bound=">= 10")]:
    """Code points of the longest line, without its line break; 0 for the empty text.

    The example has 11. Data and machine-made code have lines of thousands (Chen et al., Codex, 2021, leave out
    files with a line beyond 1,000).
    """
    return max(map(len, text.splitlines()), default=0)
