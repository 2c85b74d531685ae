"""Is a text strewn with hash signs and dots?"""

from typing import Annotated

from sluice.operator import Field, measure


@measure(version=1, cost="header", example="Read on ... #news #today")
def text_symbol_word_ratio(
    text: str,
) -> Annotated[float, Field(unit="symbols a word", ge=0, higher_is="more symbols", bound="<= 0.1")]:
    """Hash signs or ellipses (`...`, `…`), whichever are more, divided by the words; 0 for a blank text.

    Words are what stands between white space: the example has 2 hash signs on 5. Rae et al., Gopher (2021), keep
    texts with at most 0.1 of each.
    """
    symbols = max(text.count("#"), text.count("...") + text.count("…"))
    return symbols / max(len(text.split()), 1)
