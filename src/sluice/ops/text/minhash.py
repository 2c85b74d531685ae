"""Which texts are nearly the same, though no two are equal?"""

from typing import Annotated

import numpy as np
from pydantic import Field as Setting

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.dedup.jaccard_sketch import sketch_of_set, sketch_of_short
from sluice.ops.text.shingles import Unit, shingle_hashes

_SEED = 1  # of the permutations; the same for all texts, and part of every signature


@measure(
    version=1,
    cost="header",
    libraries=("rensa",),
    example="One of the sentences that stand, word for word or nearly so, on a good many pages.",
)
def text_minhash(
    text: str,
    *,
    permutations: Annotated[int, Setting(ge=128, le=256)] = 128,
    size: Annotated[int, Setting(ge=1, le=64)] = 5,
    unit: Unit = "words",
    lowercase: bool = True,
) -> Annotated[bytes, Field(unit="MinHash sketch")]:
    """A sketch of the set of the text's shingles, for `dedup` by Jaccard similarity: MinHash (Broder, 1997).

    A shingle is a run of `size` words (default 5, as in Lee et al., "Deduplicating Training Data Makes
    Language Models Better", 2022, and in datatrove, by which FineWeb was made) or, with `unit: characters`, of
    characters (13 is SlimPajama's size): for scripts without spaces, in which a word would be a whole phrase.
    Words are runs of letters, marks and digits; punctuation and white space only separate them, `lowercase`
    takes capitals for small letters.

    The sketch holds a signature of `permutations` minima, by which near texts are found, and the set itself
    (32 bits a shingle), by which they are verified: 4 · (1 + permutations + shingles) bytes, some 2 kB for 400
    words. Two different shingles share their 32 bits once in 4.3 · 10⁹, which changes the similarity of texts
    of a thousand words by less than 10⁻⁶ on average.

    A text with fewer words than a shingle is near no other: it is a duplicate only of the very same text
    (capitals and punctuation included). A text without anything but white space has no sketch.
    """
    from rensa import RMinHash

    if not text or text.isspace():
        raise Declined("no text")
    hashes = shingle_hashes(text, size, unit, lowercase=lowercase)
    if not len(hashes):
        return sketch_of_short(text)
    ordered = np.sort((hashes >> np.uint64(32)).astype(np.uint32))
    elements = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]
    digest = RMinHash.digest_matrix_from_flat_token_hashes
    (signature,) = digest(elements.astype(np.uint64), [0, len(elements)], permutations, _SEED).to_rows()
    return sketch_of_set(np.array(signature, np.uint32), elements)
