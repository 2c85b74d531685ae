"""How many actions does a text tell of?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.text.parsed import PIPELINE, Parsed, Pipeline

_TAGS = frozenset({"VV", "VB", "VBP", "VBZ", "VBD", "VBG", "VBN"})


@measure(version=1, cost="header", example="A cat jumps over the dog.")
def text_action_count(
    parsed: Parsed, *, pipeline: Pipeline = PIPELINE
) -> Annotated[int, Field(unit="verbs", ge=0, higher_is="more is done", bound=">= 1")]:
    """Number of verbs: tokens whose part of speech is VERB (Universal Dependencies; auxiliaries are not).

    Their tag is one of VB, VBP, VBZ, VBD, VBG, VBN (Penn Treebank) or VV (Chinese Treebank), as Data-Juicer
    counts. `pipeline` is a spaCy pipeline with tagger and parser, by package name or path. Blank texts and those
    beyond 100,000 code points are declined.
    """
    return sum(token.pos_ == "VERB" and token.tag_ in _TAGS for token in parsed)
