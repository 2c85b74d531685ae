"""Does a text say the same again and again, letter by letter?"""

from math import isqrt
from typing import Annotated

from pydantic import Field as Setting

from sluice.operator import Field, measure
from sluice.ops.text.characters import Codes
from sluice.ops.text.hashes import LONGEST_RUN, run_hashes
from sluice.ops.text.ngrams import repetitions


@measure(version=1, cost="header", example="Today is Sund Sund Sund Sund Sund Sunda and it's a happy day!")
def text_character_repetition(
    codes: Codes, *, n: Annotated[int, Setting(ge=1, le=LONGEST_RUN)] = 10
) -> Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="more repeated", bound="0..0.5")]:
    """Share of the runs of `n` characters that fall on the most frequent ones.

    Of U different runs, the k most frequent are taken, with k the lesser of ⌊√U⌋ and the number of runs that
    come more than once; their occurrences are divided by all (Laurençon et al., "The BigScience ROOTS Corpus",
    2022; the default of 10 is theirs and Data-Juicer's). Texts shorter than `n` have 0. The example has
    0.456 140 with `n: 5`.
    """
    different, repeated = repetitions(run_hashes(codes, n))
    taken = min(isqrt(different), len(repeated))
    if not taken:
        return 0.0
    rest = len(repeated) - taken
    repeated.partition(rest)
    return float(repeated[rest:].sum()) / (len(codes) - n + 1)
