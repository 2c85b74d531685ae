"""Which texts of a document read like the caption of a picture."""

from __future__ import annotations

import re

FIELDS = ("caption", "alt", "title")
"""An image's own fields that may hold its caption: what is printed beside it, for readers who cannot see, on hover."""
MIN_WORDS, MIN_CHARACTERS = 3, 6
"""DataComp's basic filter (Gadre et al., 2023) keeps captions of more than two words and five characters."""
MAX_WORDS = 256
"""Of what is said to be a caption: Conceptual 12M (Changpinyo et al., 2021) keeps alt-texts of 3 to 256 words."""
MAX_WORDS_UNSAID = 50
"""Of a paragraph that merely stands beside an image (a choice of ours: two sentences, where prose is longer)."""

_PREFIX = re.compile(
    r"(?:fig(?:ure|ura)?s?|abb(?:ildung(?:en)?)?|photo(?:graph)?s?|fotos?|image|picture|caption|bild|bilder|plate|"
    r"illustration|chart|diagram|map|tafel|tabla|credit|图|圖|図|写真)"
    r"(?:\.?\s*\(?(?:\d+|[ivx]+)(?:[.-]\d+)*[a-z]?\)?)?\s*[.:：|–—-]\s*|[图圖図]\s*\d+\s*",
    re.IGNORECASE,
)
# Scripts that are written without spaces: two characters stand for a word.
_WORD = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{1,2}|\S+"
)
_BLANK_LINE = re.compile(r"\n[ \t]*\r?\n")


def is_caption(text: str, *, said: bool) -> bool:
    """Whether a text reads like a caption.

    It is one paragraph of at least 3 words and 6 characters, words that hold a letter or a digit. Where it is
    `said` to be a caption, by the field that it stands in or because it opens as captions do ("Figure 3:",
    "Photo:", "Abb. 2 –"), it has at most 256 words, that opening not counted; any other text at most 50.
    """
    text = text.strip()
    opening = _PREFIX.match(text)
    body = text[opening.end() :] if opening else text
    if len(body) < MIN_CHARACTERS or _BLANK_LINE.search(body):
        return False
    most = MAX_WORDS if said or opening else MAX_WORDS_UNSAID
    return MIN_WORDS <= _words(body, most + 1) <= most


def _words(text: str, enough: int) -> int:
    """The number of words with a letter or a digit in them, counted up to `enough`."""
    count = 0
    for word in _WORD.finditer(text):
        count += any(map(str.isalnum, word[0]))
        if count >= enough:
            break
    return count
