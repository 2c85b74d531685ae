"""How many sentences has a text?"""

import re
from typing import Annotated

from sluice.operator import Field, measure

_END = re.compile(r"""[.!?…؟।]["'”’»)\]]{0,3}(?=\s|$)|[。！？]""")


@measure(version=1, cost="header", example='Is it? "Yes." Version 2.0 is out!')
def text_sentence_count(
    text: str,
) -> Annotated[int, Field(unit="sentences", ge=0, higher_is="more sentences", bound=">= 3")]:
    """Number of ends of sentences: `.`, `!`, `?` and their kin, quotes and brackets after them, then white space.

    Full-width `。`, `！` and `？` end one wherever they stand. The example has 3; an abbreviation within a
    sentence counts too. Raffel et al., C4 (2020), drop pages with fewer than three sentences.
    """
    return sum(1 for _ in _END.finditer(text))
