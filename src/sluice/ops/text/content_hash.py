"""Which texts are the same?"""

import re
from typing import Annotated

import xxhash

from sluice.operator import Field, measure

_NOT_LETTERS = re.compile(r"[\W\d_]+")


@measure(version=1, cost="header", example="The same text.")
def text_content_hash(
    text: str, *, lowercase: bool = False, letters_only: bool = False
) -> Annotated[str, Field(unit="hexadecimal")]:
    """xxh3-128 of the text's UTF-8 bytes, 32 hexadecimal digits: equal for equal texts.

    `lowercase` takes capitals for small letters; `letters_only` first drops all that is neither a letter nor
    a mark of one (white space, punctuation, digits, symbols), so that layout and numbers do not tell texts
    apart. Texts that hold lone surrogates are hashed as they are.
    """
    if lowercase:
        text = text.lower()
    if letters_only:
        text = _NOT_LETTERS.sub("", text)
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))
