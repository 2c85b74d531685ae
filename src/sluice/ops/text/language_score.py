"""How sure is the language of a text?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.text.language_id import PACKAGED, Identified, LanguageModel


@measure(version=1, cost="header", example="Do you need a cup of coffee?")
def text_language_score(
    identified_language: Identified, *, model: LanguageModel = PACKAGED
) -> Annotated[float, Field(unit="probability", ge=0, le=1, higher_is="surer", bound=">= 0.8")]:
    """The probability of the language that `text_language` names, at most 1.

    By default py3langid's, normalised over its 97 languages; `model` may be the path of a fastText classifier,
    such as `lid.176.bin`, whose rounding above 1 is cut off. The bound of 0.8 is Data-Juicer's for lid.176.
    """
    return identified_language.score
