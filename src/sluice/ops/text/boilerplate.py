"""Does a web page's text hold what is no text: code, placeholders, legal notices?"""

import re
from typing import Annotated, NamedTuple

from sluice.operator import Field, measure
from sluice.ops.text.lines import Lines

_POLICY = re.compile(
    "terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies", re.IGNORECASE
)


class Boilerplate(NamedTuple):
    """How often each kind comes."""

    curly_brace_count: Annotated[int, Field(unit="braces", ge=0, higher_is="more code", bound="<= 0")]
    lorem_ipsum_count: Annotated[int, Field(unit="phrases", ge=0, higher_is="more filler", bound="<= 0")]
    javascript_line_count: Annotated[int, Field(unit="lines", ge=0, higher_is="more notices", bound="<= 0")]
    policy_line_count: Annotated[int, Field(unit="lines", ge=0, higher_is="more notices", bound="<= 0")]


@measure(version=1, cost="header", example="Enable JavaScript.\nThis site uses cookies.")
def text_boilerplate(text: str, lines: Lines) -> Boilerplate:
    """Counts of what Raffel et al., C4 (2020), take for a sign that a page's text is none.

    Curly braces (either), the phrase `lorem ipsum`, lines that name JavaScript, and lines with `terms of use`,
    `privacy policy`, `cookie policy`, `uses cookies`, `use of cookies` or `use cookies`, in capitals or not. C4
    drops pages with the first two and lines with the others. The example has 0, 0, 1 and 1.
    """
    lowered = text.lower()
    script = sum("javascript" in line.lower() for line in lines) if "javascript" in lowered else 0
    policy = sum(_POLICY.search(line) is not None for line in lines) if _POLICY.search(text) else 0
    return Boilerplate(text.count("{") + text.count("}"), lowered.count("lorem ipsum"), script, policy)
