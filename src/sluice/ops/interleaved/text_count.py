"""How many texts does a sample have?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.sample import Sample


@measure(version=1, cost="header")
def sample_text_count(
    sample: Sample,
) -> Annotated[int, Field(unit="texts", ge=0, higher_is="more texts", bound=">= 1")]:
    """Number of the sample's text items, blank and unreadable ones too: those in the source.

    A document [text, image, text, image] has 2, a picture with five captions 5. What `drop_items` and `dedup`
    drop later still counts here; `count(text_length >= 1)` in a rule counts what is left.
    """
    return len(sample.of("text"))
