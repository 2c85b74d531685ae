"""How much of a text is made of phrases that come again?"""

from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluice.operator import Field, measure
from sluice.ops.text.ngrams import Counts, paired, word_ranks
from sluice.ops.text.words import Words


def _share(bound: str) -> Field:
    return Field(unit="ratio", ge=0, le=1, higher_is="more repeated", bound=bound)


class PhraseShares(NamedTuple):
    """Shares of the characters in the most frequent run of 2 to 4 words, and in repeated ones of 5 to 10."""

    top_2_ratio: Annotated[float, _share("<= 0.2")]
    top_3_ratio: Annotated[float, _share("<= 0.18")]
    top_4_ratio: Annotated[float, _share("<= 0.16")]
    duplicate_5_ratio: Annotated[float, _share("<= 0.15")]
    duplicate_6_ratio: Annotated[float, _share("<= 0.14")]
    duplicate_7_ratio: Annotated[float, _share("<= 0.13")]
    duplicate_8_ratio: Annotated[float, _share("<= 0.12")]
    duplicate_9_ratio: Annotated[float, _share("<= 0.11")]
    duplicate_10_ratio: Annotated[float, _share("<= 0.1")]


@measure(version=1, cost="header", example="one two three four five six, one two three four five seven")
def text_ngram(words: Words) -> PhraseShares:
    """Shares of the words' characters that lie in repeated runs of n words (Rae et al., Gopher, 2021, table A1).

    `top_n` (n of 2 to 4): in the occurrences of the most frequent run, of equally frequent ones of the one
    that comes first; 0 if none comes twice. `duplicate_n` (n of 5 to 10): in the runs that came before in the
    text. A character that lies in several such runs counts once, so that no share exceeds 1 (where occurrences
    overlap, as in `no no no`, others may count more). Words are those of `text_word_count`, case kept; a text
    with fewer than n has 0. In the example the run of five comes again: 19 of 46 characters.
    """
    ranks = run = word_ranks(words)
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    shares = []
    for n in range(2, 11):
        run = paired(run[:-1], ranks[n - 1 :])
        chosen = _most_frequent(run) if n < 5 else _came_before(run)
        shares.append(_covered(chosen, lengths, n))
    return PhraseShares(*shares)


def _most_frequent(run: Counts) -> NDArray[np.bool_]:
    """Where the most frequent run begins; nowhere if none comes twice."""
    counts = np.bincount(run, minlength=1)
    greatest = counts.max()
    if greatest < 2:
        return np.zeros(len(run), np.bool_)
    first = np.argmax(counts[run] == greatest)
    return np.asarray(run == run[first])


def _came_before(run: Counts) -> NDArray[np.bool_]:
    """Where a run begins that came before."""
    again = np.ones(len(run), np.bool_)
    again[np.unique(run, return_index=True)[1]] = False
    return again


def _covered(begins: NDArray[np.bool_], lengths: Counts, n: int) -> float:
    """The share of the characters in runs of n words that begin there."""
    if not begins.any():
        return 0.0
    inside = np.zeros(len(lengths), np.bool_)
    for k in range(n):
        inside[k : k + len(begins)] |= begins
    return float(lengths[inside].sum() / lengths.sum())
