"""In which language is a text?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.text.language_id import PACKAGED, Identified, LanguageModel


@measure(version=1, cost="header", example="Do you need a cup of coffee?")
def text_language(
    identified_language: Identified, *, model: LanguageModel = PACKAGED
) -> Annotated[str, Field()]:
    """The code of the most probable language, as the identifier calls it: `en`, `de`, `zh`.

    By default py3langid (97 languages); `model` may be the path of a fastText classifier, such as
    `lid.176.bin`, which Data-Juicer, CCNet and FineWeb use. Text is taken in lower case, line breaks as spaces. Look
    at `text_language_score` too: a short or mixed text has a most probable language as well.
    """
    return identified_language.label
