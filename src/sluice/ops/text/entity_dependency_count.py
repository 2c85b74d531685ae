"""How well are the things that a text names tied to other words?"""

from collections import Counter
from typing import Annotated, NamedTuple

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.text.parsed import PIPELINE, Parsed, Pipeline

_KINDS = frozenset({"NOUN", "PROPN", "PRON"})
_TAGS = frozenset({"NN", "NR", "PN", "NNS", "NNP", "NNPS", "PRP"})


class Dependencies(NamedTuple):
    """Of the numbers of dependencies of a text's things: the least, the greatest, and how many things."""

    min: Annotated[int, Field(unit="dependencies", ge=0, higher_is="all tied better", bound=">= 1")]
    max: Annotated[int, Field(unit="dependencies", ge=0, higher_is="some tied better", bound=">= 1")]
    entities: Annotated[int, Field(unit="entities", ge=1, higher_is="more is named")]


@measure(version=1, cost="header", example="The quick fox jumps over the dog.")
def text_entity_dependency_count(parsed: Parsed, *, pipeline: Pipeline = PIPELINE) -> Dependencies:
    """Least and greatest number of dependencies of the text's entities, and the number of entities.

    An entity is a token whose part of speech is NOUN, PROPN or PRON and whose tag is one of NN, NNS, NNP, NNPS,
    PRP (Penn Treebank), NR or PN (Chinese Treebank). It has one dependency if it depends on another word (is
    not the root), and one for each word that depends on it, roots and punctuation aside; so Data-Juicer
    counts. `_min >= 1` asks that all entities be tied, `_max >= 1` that any is. A list of things without a
    sentence, `book. mountain. star.`, has 0. `pipeline` is a spaCy pipeline with tagger and parser, by package name
    or path. Texts without an entity are declined, and so are those beyond 100,000 code points.
    """
    tied = Counter(t.head.i for t in parsed if t.pos_ != "PUNCT" and t.dep_ != "ROOT")
    entities = [t for t in parsed if t.pos_ in _KINDS and t.tag_ in _TAGS]
    counts = [tied[t.i] + (t.dep_ != "ROOT") for t in entities]
    if not counts:
        raise Declined("no entities", "the text names nothing")
    return Dependencies(min(counts), max(counts), len(counts))
