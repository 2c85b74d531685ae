"""Does a text say the same again and again, word by word?"""

from typing import Annotated

from pydantic import Field as Setting

from sluice.operator import Field, measure
from sluice.ops.text.hashes import LONGEST_RUN, WordHashes, run_hashes
from sluice.ops.text.ngrams import repetitions


@measure(
    version=1, cost="header", example="Today is Sunday Sunday Sunday Sunday Sunday and it's a happy day!"
)
def text_word_repetition(
    word_hashes: WordHashes, *, n: Annotated[int, Setting(ge=1, le=LONGEST_RUN)] = 10
) -> Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="more repeated", bound="0..0.5")]:
    """Share of the runs of `n` words that come more than once, every occurrence counted.

    Words in lower case, without special characters around them (Laurençon et al., "The BigScience ROOTS
    Corpus", 2022; the default of 10 is Data-Juicer's). Fewer words than `n` have 0. The example has 0.3 with
    `n: 3`.
    """
    hashes = run_hashes(word_hashes, n)
    _, repeated = repetitions(hashes)
    return float(repeated.sum()) / max(len(hashes), 1)
