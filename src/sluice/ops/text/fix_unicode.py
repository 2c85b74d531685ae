"""How does a text lose the traces of a wrong encoding?"""

from __future__ import annotations

from typing import Literal

from sluice.operator import mapper
from sluice.operator.extra import imported


@mapper(version=1, cost="header", libraries=("ftfy",))
class text_fix_unicode:  # noqa: N801 - an operator's name is its class's
    """The text as ftfy mends it: mojibake (`Ã©` for `é`) decoded again, HTML entities of texts without tags
    resolved, terminal escapes and control characters taken out, ligatures and full-width Latin letters made
    plain, surrogate pairs joined (a lone surrogate becomes U+FFFD), line ends made `\\n`.

    `normalization` is the Unicode form of the result, or `none`; NFC is ftfy's default and changes nothing
    that is seen. `straight_quotes` turns “typographic” quotes into "straight" ones, which ftfy does by default
    and we do not: they are no damage. ftfy (Speer, 2019, https://doi.org/10.5281/zenodo.2591652, Apache-2.0)
    mends one layer of entities a pass, so that `&amp;lt;` becomes `&lt;` and, mended again, `<`.
    """

    def __init__(
        self,
        *,
        normalization: Literal["NFC", "NFKC", "NFD", "NFKD", "none"] = "NFC",
        straight_quotes: bool = False,
    ) -> None:
        self._form = None if normalization == "none" else normalization
        self._straight_quotes = straight_quotes

    def open(self) -> None:
        """Load ftfy and fix its settings."""
        ftfy = imported("ftfy", "text")
        self._fix = ftfy.fix_text
        self._config = ftfy.TextFixerConfig(
            normalization=self._form, uncurl_quotes=self._straight_quotes, explain=False
        )

    def __call__(self, text: str) -> str:
        """The mended text."""
        fixed: str = self._fix(text, self._config)
        return fixed
