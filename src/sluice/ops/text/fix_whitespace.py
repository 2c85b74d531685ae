"""How does a text get even spaces and line ends?"""

import re
from typing import Annotated

from pydantic import Field as Setting

from sluice.operator import mapper

_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")  # zero-width space, word joiner, byte order mark
_LINE_END = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_SPACES = re.compile("[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_AROUND_LINE_ENDS = re.compile(" ?\n ?")


@mapper(version=1, cost="header")
def text_fix_whitespace(text: str, *, max_blank_lines: Annotated[int, Setting(ge=0)] = 1) -> str:
    """The text with one space where it had several, none at the ends of lines, and few blank lines.

    Every run of spaces, tabs and other characters of Unicode's category Zs becomes one space; `\\r\\n`, `\\r`,
    `\\v`, `\\f`, U+0085, U+2028 and U+2029 become `\\n`; lines and the text lose the spaces and line ends around
    them; more than `max_blank_lines` empty lines in a row become that many (one, as between paragraphs, is a
    choice of ours). Zero-width space, word joiner and byte order mark go; the zero-width joiners of emoji and
    of Persian stay. Indentation goes too, so this is not for code. What it made it leaves as it is.
    """
    plain = _LINE_END.sub("\n", _INVISIBLE.sub("", text))
    lines = _AROUND_LINE_ENDS.sub("\n", _SPACES.sub(" ", plain))
    most = max_blank_lines + 1
    return re.sub(f"\n{{{most},}}", "\n" * most, lines).strip(" \n")
