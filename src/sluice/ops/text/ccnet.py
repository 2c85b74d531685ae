"""The normal form of texts that CCNet's language models were trained on."""

import re
import unicodedata

_DIGIT = re.compile(r"\d")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\xa0]")
_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("“”„«»」「《》", '"'),
        **dict.fromkeys("´’", "'"),
        **dict.fromkeys("∶：", ":"),
        **dict.fromkeys("–━►", "-"),
        "，": ",",
        "。": ".",
        "、": ",",
        "？": "?",
        "！": "!",
        "（": "(",
        "）": ")",
        "；": ";",
        "—": " - ",
        "．": ". ",
        "～": "~",
        "…": "...",
        "〈": "<",
        "〉": ">",
        "【": "[",
        "】": "]",
        "％": "%",
    }
)


def normalised(line: str) -> str:
    """A line in lower case, without accents, digits as 0, Unicode's punctuation as ASCII's, no control characters.

    As CCNet does before it trains and scores (Wenzek et al., "CCNet", 2020; `text_normalizer.py`).
    """
    line = line.strip().lower()
    if not line.isascii():
        parts = unicodedata.normalize("NFD", line)
        line = "".join(character for character in parts if unicodedata.category(character) != "Mn")
    return _CONTROL.sub("", _DIGIT.sub("0", line).translate(_PUNCTUATION))
