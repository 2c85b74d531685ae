"""What personal data looks like in a text: one set of patterns for counting it and for redacting it."""

import re
from collections.abc import Iterator
from typing import Literal

PersonalData = Literal["email", "ip", "card", "phone"]

_LOCAL, _LABEL = r"[A-Za-z0-9._%+\-]", r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_BYTE, _GROUP = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])", r"[0-9A-Fa-f]{1,4}"
_ROUTABLE = r"(?:[23][0-9A-Fa-f]{3}|[Ff][CcDdEe][0-9A-Fa-f]{2})"
_NANP = r"[2-9][0-9]{2}"

PATTERNS: dict[PersonalData, re.Pattern[str]] = {
    # RFC 5321: at most 64 characters before the @, labels of at most 63 (RFC 1035), a top level of letters.
    "email": re.compile(
        rf"(?<!{_LOCAL}){_LOCAL}{{1,64}}@(?:{_LABEL}\.){{1,8}}[A-Za-z]{{2,24}}(?![A-Za-z0-9])"
    ),
    # IPv4 in dotted decimals, not inside a longer dotted number (a version, a section); IPv6 in RFC 4291's full
    # form, or shortened by :: where it begins as a routable, unique-local or link-local address does, so that
    # times and C++ names (a::b) are none.
    "ip": re.compile(
        rf"(?<![\w.])(?:{_BYTE}\.){{3}}{_BYTE}(?![\w]|\.[0-9])"
        rf"|(?<![\w:.])(?:{_GROUP}:){{7}}{_GROUP}(?![\w:])"
        rf"|(?<![\w:.]){_ROUTABLE}(?::{_GROUP}){{0,5}}::(?:{_GROUP}(?::{_GROUP}){{0,5}})?(?![\w:])"
    ),
    # 13 to 19 digits (ISO/IEC 7812), in one piece or in groups; `is_card` checks the last one.
    "card": re.compile(r"(?<![\w.\-])[2-6](?:[ \-]?[0-9]){12,18}(?![\w\-]|\.[0-9])"),
    # International: + and 7 to 15 digits (ITU-T E.164) in groups; North American: 3-3-4 digits, area and
    # exchange not beginning with 0 or 1, with separators between (ten bare digits may be anything).
    "phone": re.compile(
        r"(?<![\w+])\+[1-9](?:[ .\-]?\(?[0-9]\)?){6,14}(?!\w)"
        rf"|(?<![\w.+\-])(?:1[ .\-])?(?:\({_NANP}\) ?|{_NANP}[ .\-]){_NANP}[ .\-][0-9]{{4}}(?![\w\-]|\.[0-9])"
    ),
}
"""What each kind looks like. Every repetition is bounded and starts at a border, so matching is linear in length."""

_SIGNS: dict[PersonalData, re.Pattern[str]] = {
    "email": re.compile("@"),
    "ip": re.compile(r"[0-9]\.[0-9]|:[0-9A-Fa-f:]"),
    "card": re.compile(r"[0-9](?:[ \-]?[0-9]){5}"),
    "phone": re.compile(r"[0-9][0-9]"),
}


def is_card(digits: str) -> bool:
    """Whether the digits of a text, whatever stands between, pass the check of Luhn (ISO/IEC 7812-1, annex B)."""
    numbers = [int(c) for c in reversed(digits) if c in "0123456789"]
    doubled = (sum(divmod(2 * n, 10)) for n in numbers[1::2])
    return (sum(numbers[::2]) + sum(doubled)) % 10 == 0


def matches(kind: PersonalData, text: str) -> Iterator[re.Match[str]]:
    """Every place of the text that looks like this kind, without overlap, from first to last."""
    if not _SIGNS[kind].search(text):
        return iter(())
    found = PATTERNS[kind].finditer(text)
    return (match for match in found if is_card(match[0])) if kind == "card" else found


def replaced(kind: PersonalData, text: str, replacement: str) -> str:
    """The text with every place that looks like this kind replaced, until none is left.

    Where two addresses touch, taking one out can leave another that was part of its surroundings before. A
    replacement that looks like the kind itself is put in once.
    """
    once = any(matches(kind, replacement))
    while True:
        kept, at = [], 0
        for match in matches(kind, text):
            kept.append(text[at : match.start()])
            at = match.end()
        if not kept:
            return text
        text = replacement.join([*kept, text[at:]])
        if once:
            return text
