"""How much of a text is web addresses?"""

import re
from typing import Annotated

from sluice.operator import Field, measure

_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE)


@measure(version=1, cost="header", example="See https://example.org now")
def text_url_ratio(
    text: str,
) -> Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="more links", bound="<= 0.2")]:
    """Share of the characters that belong to web addresses; 0 for the empty text.

    An address begins with `http://`, `https://` or `www.` and ends at white space, a quotation mark or an angle
    bracket (RFC 3986 allows none of them within). The example has 19 of 27. Lists of links stand out; the bound
    is ours.
    """
    return sum(match.end() - match.start() for match in _URL.finditer(text)) / max(len(text), 1)
