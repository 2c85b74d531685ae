"""BLEU and CIDEr: how near written captions are to those that people gave."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

Words = Sequence[Hashable]
Gram = tuple[Hashable, ...]

_ORDERS = (1, 2, 3, 4)
_CIDER_SIGMA = 6.0


def bleu(written: Sequence[Words], references: Sequence[Sequence[Words]]) -> float:
    """BLEU-4 over all captions together, from 0 to 1 (Papineni and others 2002, "BLEU", ACL).

    The geometric mean of the clipped precisions of 1 to 4 words in a row, times exp(1 − r / c) where the captions
    are shorter (c words) than the references nearest in length (r). Without smoothing: 0 where no four words fit.
    """
    matched, total = [0] * len(_ORDERS), [0] * len(_ORDERS)
    length = nearest = 0
    for caption, known in zip(written, references, strict=True):
        length += len(caption)
        nearest += min((abs(len(r) - len(caption)), len(r)) for r in known)[1]
        for k, n in enumerate(_ORDERS):
            grams = _grams(caption, n)
            allowed: Counter[Gram] = Counter()
            for reference in known:
                allowed |= _grams(reference, n)
            matched[k] += (grams & allowed).total()
            total[k] += grams.total()
    if not all(matched):
        return 0.0
    precision = sum(math.log(m / t) for m, t in zip(matched, total, strict=True)) / len(_ORDERS)
    return math.exp(min(0.0, 1 - nearest / length) + precision)


def cider(written: Sequence[Words], references: Sequence[Sequence[Words]]) -> float:
    """CIDEr-D, from 0 to 10 (Vedantam and others 2015, "CIDEr", CVPR), the mean over captions.

    For 1 to 4 words in a row: the cosine of the TF-IDF vectors of a caption and a reference, counts clipped to the
    reference's, times exp(−(difference in length)² / 2·6²); the mean over references and orders, times 10. A gram's
    document frequency is the number of pictures with it in a reference; words are not stemmed (as in coco-caption).
    """
    frequency: Counter[Gram] = Counter()
    for known in references:
        frequency.update({gram for reference in known for n in _ORDERS for gram in _grams(reference, n)})
    pictures = math.log(len(references)) if references else 0.0

    def weighted(words: Words, n: int) -> dict[Gram, float]:
        return {g: c * (pictures - math.log(max(1, frequency[g]))) for g, c in _grams(words, n).items()}

    def nearness(caption: Words, reference: Words) -> float:
        apart = len(caption) - len(reference)
        cosines = [_cosine(weighted(caption, n), weighted(reference, n)) for n in _ORDERS]
        return math.exp(-(apart**2) / (2 * _CIDER_SIGMA**2)) * sum(cosines) / len(cosines)

    scores = [
        sum(nearness(caption, reference) for reference in known) / len(known)
        for caption, known in zip(written, references, strict=True)
    ]
    return 10 * sum(scores) / len(scores) if scores else 0.0


def _grams(words: Words, n: int) -> Counter[Gram]:
    return Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))


def _cosine(ours: dict[Gram, float], theirs: dict[Gram, float]) -> float:
    """The cosine, where a gram counts no more often than in the reference; 0 where either has no weight."""
    lengths = math.hypot(*ours.values()) * math.hypot(*theirs.values())
    product = sum(min(weight, theirs.get(gram, 0.0)) * theirs.get(gram, 0.0) for gram, weight in ours.items())
    return product / lengths if lengths else 0.0
