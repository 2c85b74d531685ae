"""The language identifier that a Python package brings along, for texts and captions alike."""

from __future__ import annotations

from functools import cache
from typing import Any

from sluice.operator.extra import imported


@cache
def packaged_identifier() -> Any:
    """py3langid's identifier (BSD-3-Clause): `classify(text)` gives a label and its probability; loaded once."""
    langid = imported("py3langid.langid", "text")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
