"""What a captioner's reply is worth: the caption, or the reason why it is none."""

from __future__ import annotations

from functools import cache

from sluice.errors import Declined
from sluice.model.endpoint import Reply
from sluice.model.langid import packaged_identifier
from sluice.model.prompts import refusals

SURE = 0.8
"""Probability from which another language is believed; that of the usual rule for texts (`text_language`)."""

FEWEST_WORDS = 4
"""Words that a caption must have to be judged by its language: of fewer no identifier is sure."""


def caption_of(reply: Reply, language: str | None = None) -> str | Declined:
    """The caption in a reply, blanks around it left out, or why there is none.

    Reasons: `empty`; `refused` (the endpoint says so, or the text begins as refusals do); `truncated` (it
    ended at the token limit); `wrong language` (of four words or more, in another than `language`).
    """
    text = reply.text.strip()
    begins = text[:80].lower().replace("’", "'")
    if reply.refusal or reply.finish == "content_filter" or begins.startswith(refusals_known()):
        return Declined("refused", (reply.refusal or text)[:200])
    if not text:
        return Declined("empty", "the reply has no text")
    if reply.finish == "length":
        return Declined("truncated", "the reply ended at the token limit: raise `max_tokens`")
    if language is not None and len(text.split()) >= FEWEST_WORDS:
        found, sure = packaged_identifier().classify(text)
        if found != language and sure >= SURE:
            return Declined("wrong language", f"{found} ({sure:.2f}), not {language}")
    return text


@cache
def refusals_known() -> tuple[str, ...]:
    """How refusals begin."""
    return refusals()
