"""How does a text lose its links?"""

import re

from sluice.operator import mapper

_LINK = re.compile(r"(?<!\w)(?:(?:https?|ftp)://|www\.)[^\W_][^\s<>\"]*", re.IGNORECASE)
_AFTER = ".,;:!?'»”’"
_BRACKETS = {")": "(", "]": "[", "}": "{"}


def _end(link: str) -> int:
    """Where the link ends that these characters begin with: punctuation and open brackets' ends are the sentence's."""
    end = len(link)
    surplus = {closing: link.count(closing) - link.count(opening) for closing, opening in _BRACKETS.items()}
    while end and (link[end - 1] in _AFTER or surplus.get(link[end - 1], 0) > 0):
        end -= 1
        if link[end] in surplus:
            surplus[link[end]] -= 1
    return end


@mapper(version=1, cost="header")
def text_remove_links(text: str, *, replacement: str = "") -> str:
    """The text with each link replaced by `replacement`; by default nothing, so that spaces around it meet.

    A link begins with `http://`, `https://`, `ftp://` or `www.`, not within a word, and goes on until white
    space, a quote or an angle bracket. Punctuation at its end belongs to the sentence (`see http://a.org.`), as
    does a closing bracket that was not opened in the link. Bare domains (`a.org`) stay: file names and
    abbreviations look the same.
    """
    return _LINK.sub(lambda found: replacement + found[0][_end(found[0]) :], text)
