"""A model behind an endpoint as judge: it scores samples, and says which of two it would rather learn from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import xxhash

from sluice.errors import SampleError
from sluice.model.endpoint import Reply, text_part
from sluice.model.remote import Question, RemoteModel
from sluice.sandbox.judge.judged import Judgement
from sluice.sandbox.judge.prompts import question

QUALITIES = ("accuracy", "clarity", "information", "cleanliness")
"""What a sample is scored in, 1 to 5 each."""

Parts = list[dict[str, Any]]
"""A sample as parts of a message: its texts and pictures."""

Show = Callable[[str], Parts]
"""Makes the parts of the sample of an id; raises `SampleError` where it cannot be read."""

MALFORMED = "malformed reply"
_OBJECT = re.compile(r"\{[^{}]*\}")


def score(model: RemoteModel, ids: Sequence[str], show: Show) -> Iterator[Judgement]:
    """Each quality of each sample, and `llm_score`, their mean as a share of what can be had, in [0, 1].

    A reply that is no object of whole numbers from 1 to 5 is no value, never a low one.
    """
    prompt = question("score")

    def asked(sample: str) -> Question:
        parts = [text_part(prompt), *show(sample)]
        return Question({"judge": _digest(parts)}, lambda: parts)

    replies = model([partial(asked, sample) for sample in ids])
    for sample, reply in zip(ids, replies, strict=True):
        found, reason = _scores(reply)
        for name in QUALITIES:
            yield Judgement(sample, f"llm_{name}", None if found is None else float(found[name]), reason)
        mean = None if found is None else sum((v - 1) / 4 for v in found.values()) / len(found)
        yield Judgement(sample, "llm_score", mean, reason)


def prefer(model: RemoteModel, pairs: Sequence[tuple[str, str]], show: Show) -> Iterator[Judgement]:
    """For each pair the first one's share of wins over the second, asked in both orders: `llm_preferred`.

    1 where it wins both times, 0 where it loses both, one half for a tie or where the order decides (models prefer
    what they see first: Zheng and others 2023). No value where one of the two replies is malformed. The judgement
    goes by the first one's id.
    """
    prompt = question("prefer")

    def asked(first: str, second: str) -> Question:
        parts = [
            text_part(prompt),
            text_part("Sample A:"),
            *show(first),
            text_part("Sample B:"),
            *show(second),
        ]
        return Question({"judge": _digest(parts)}, lambda: parts)

    asks = [partial(asked, *order) for a, b in pairs for order in ((a, b), (b, a))]
    replies = model(asks)
    for n, (a, _) in enumerate(pairs):
        there, back = _choice(replies[2 * n]), _choice(replies[2 * n + 1])
        reason = next((why for value, why in (there, back) if value is None), "")
        if there[0] is None or back[0] is None:
            yield Judgement(a, "llm_preferred", None, reason)
        else:
            yield Judgement(a, "llm_preferred", (there[0] + 1 - back[0]) / 2)


def _scores(reply: Reply | SampleError) -> tuple[dict[str, int] | None, str]:
    found, reason = _object(reply)
    if found is None:
        return None, reason
    values = {name: found.get(name) for name in QUALITIES}
    if all(type(v) is int and 1 <= v <= 5 for v in values.values()):
        return {name: int(str(v)) for name, v in values.items()}, ""
    return None, MALFORMED


def _choice(reply: Reply | SampleError) -> tuple[float | None, str]:
    """1 for A, 0 for B, one half for a tie."""
    found, reason = _object(reply)
    if found is None:
        return None, reason
    value = {"A": 1.0, "B": 0.0, "tie": 0.5}.get(str(found.get("better")))
    return value, "" if value is not None else MALFORMED


def _object(reply: Reply | SampleError) -> tuple[Mapping[str, Any] | None, str]:
    """The last JSON object in the reply, whatever the model wrote around it."""
    if isinstance(reply, SampleError):
        return None, reply.reason
    if reply.refusal or reply.finish == "content_filter":
        return None, "refused"
    for match in reversed(_OBJECT.findall(reply.text)):
        try:
            found = json.loads(match)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found, ""
    return None, "truncated" if reply.finish == "length" else MALFORMED


def _digest(parts: Parts) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(parts, sort_keys=True).encode())
