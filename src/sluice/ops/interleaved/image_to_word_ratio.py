"""How many images does a sample have for each of its words?"""

from typing import Annotated

from sluice.operator import Field, measure


@measure(version=1, cost="header")
def sample_image_to_word_ratio(
    sample_image_count: int, sample_word_count: int
) -> Annotated[float, Field(unit="images a word", ge=0, higher_is="more images", bound="0..")]:
    """Images divided by words, by `sample_image_count` and `sample_word_count`; by 1 where there are no words.

    The image-to-text ratio by which NeMo Curator filters interleaved documents, from 0 to ∞ by default, so that
    only a bound that is asked for drops anything. [text of 4 words, image] has 0.25; a sample of 3 images and no
    text has 3 and is judged like any other; one without images has 0.
    """
    return sample_image_count / max(sample_word_count, 1)
