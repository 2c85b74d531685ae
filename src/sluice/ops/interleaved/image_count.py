"""How many images does a sample have?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.sample import Sample


@measure(version=1, cost="header")
def sample_image_count(
    sample: Sample,
) -> Annotated[int, Field(unit="images", ge=0, higher_is="more images", bound=">= 1")]:
    """Number of the sample's image items, whether or not they can be read: those in the source.

    A document [text, image, text, image] has 2. What `drop_items` and `dedup` drop later still counts here;
    `count(image_width_px >= 1)` in a rule counts what is left. MMC4 (Zhu et al., 2023) and OBELICS (Laurençon
    et al., 2023) drop documents without an image, and OBELICS those of more than 30.
    """
    return len(sample.of("image"))
