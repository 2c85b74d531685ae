"""Does a text give away e-mail addresses, numbers and machines of people?"""

from typing import Annotated, NamedTuple

from sluice.operator import Field, measure
from sluice.ops.text.pii import matches

_COUNT = Field(unit="places", ge=0, higher_is="more personal data", bound="<= 0")


class PersonalDataCounts(NamedTuple):
    """Places that look like each kind of personal data."""

    email: Annotated[int, _COUNT]
    ip: Annotated[int, _COUNT]
    card: Annotated[int, _COUNT]
    phone: Annotated[int, _COUNT]


@measure(version=1, cost="header", example="Write to jane@example.org or call +1 212 555 0199.")
def text_pii_count(text: str) -> PersonalDataCounts:
    """Number of e-mail addresses, IP addresses, card numbers and telephone numbers; the example has 1, 0, 0, 1.

    By the patterns by which `text_redact_pii` replaces them: e-mail by RFC 5321; IPv4, and IPv6 where it begins
    as an address in use does; 13 to 19 digits that pass Luhn's check (ISO/IEC 7812); telephone numbers with + (ITU-T
    E.164) or in North American form with separators. Patterns find what looks alike, not what is personal.
    """
    return PersonalDataCounts(
        *(sum(1 for _ in matches(kind, text)) for kind in ("email", "ip", "card", "phone"))
    )
