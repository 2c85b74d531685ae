"""What is wrong with a clip, by yes or no of a vision-language model?"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import partial
from typing import Annotated, Any, NamedTuple, Unpack

from pydantic import Field as Setting

from sluice.errors import Declined, SampleError
from sluice.model.captions import caption_of
from sluice.model.endpoint import Reply
from sluice.model.prompts import QuestionsPrompt, prompt_text, text_hash
from sluice.model.remote import EndpointSettings, RemoteModel
from sluice.operator import Field, measure
from sluice.ops.video.asked import about_clip
from sluice.ops.video.frame import LIBRARIES
from sluice.ops.video.windows import FPS, MOST_PIXELS, Sampling
from sluice.sample import Media

MOST_FRAMES = 32
"""Frames that the model is shown of a clip, unless `max_frames` says otherwise."""


class Answers(NamedTuple):
    """The answer to each question, and what all of them took together."""

    slideshow: Annotated[bool, Field(true_means="a sequence of stills")]
    synthetic: Annotated[bool, Field(true_means="made by a computer")]
    visual_filter: Annotated[bool, Field(true_means="looks filtered")]
    post_production_text: Annotated[bool, Field(true_means="with text added")]
    video_in_video: Annotated[bool, Field(true_means="with another video in it")]
    photographic_artefacts: Annotated[bool, Field(true_means="with flare, grain or blocks")]
    distortion: Annotated[bool, Field(true_means="bent or stretched")]
    rotation: Annotated[bool, Field(true_means="turned or tilted")]
    low_resolution: Annotated[bool, Field(true_means="enlarged")]
    blurred_region: Annotated[bool, Field(true_means="blurred in part on purpose")]
    abrupt_camera_movement: Annotated[bool, Field(true_means="shaky or jerky")]
    fast_zoom: Annotated[bool, Field(true_means="zooming fast")]
    unnatural_speed: Annotated[bool, Field(true_means="faster or slower than life")]
    little_dynamics: Annotated[bool, Field(true_means="hardly moving")]
    tokens_in: Annotated[int | None, Field(unit="tokens", ge=0)]
    tokens_out: Annotated[int | None, Field(unit="tokens", ge=0)]
    cost_usd: Annotated[float | None, Field(unit="USD", ge=0)]


QUESTIONS = Answers._fields[:-3]


@measure(version=1, cost="remote", libraries=(*LIBRARIES, "simplejpeg"))
class video_vlm:  # noqa: N801 - an operator's name is its class's
    """Fourteen questions about a clip, answered by a vision-language model over an OpenAI-compatible endpoint.

    All are asked at once, about frames from the clip's beginning to its end: `fps` a second, at most `max_frames`,
    spread evenly, scaled down to `max_pixels` all together. The model answers with a JSON object. Each answer is a
    column of its own: true for yes, false for no, and null, with its reason, for anything else: `malformed reply` (no
    JSON object), `no answer`, `malformed answer` (neither yes nor no, or two answers), and what is no caption either:
    `refused`, `empty`, `truncated` (at `max_tokens`). So `keep: not video_vlm_slideshow` drops what has no answer, and
    with `nulls: keep` does not. `tokens_in`, `tokens_out` and `cost_usd` are of all questions together.

    `prompt` is default, or the path of a text file that asks for the same fourteen names. Replies are journaled as of
    `video_caption`.
    """

    def __init__(
        self,
        *,
        prompt: QuestionsPrompt = "default",
        max_tokens: Annotated[int, Setting(ge=1)] = 512,
        fps: Annotated[float, Setting(gt=0)] = FPS,
        max_frames: Annotated[int, Setting(ge=1)] = MOST_FRAMES,
        max_pixels: Annotated[int, Setting(ge=1024)] = MOST_PIXELS,
        **endpoint: Unpack[EndpointSettings],
    ) -> None:
        self._text, self._sampling = prompt_text(prompt, "questions"), Sampling(fps, max_frames, max_pixels)
        asked = {"prompt": text_hash(self._text)}
        self._remote = RemoteModel(max_tokens=max_tokens, asked=asked, **endpoint)

    def open(self) -> None:
        """Open the journal; nothing is sent yet."""
        self._remote.open()

    def __call__(self, media: list[Media | None]) -> list[Answers]:
        """The answers about each clip, or the exception that says why there are none."""
        replies = self._remote([partial(about_clip, self._text, self._sampling, view) for view in media])
        found: list[Any] = [
            reply if isinstance(reply, SampleError) else self._answers(reply) for reply in replies
        ]
        return found

    def _answers(self, reply: Reply) -> Answers:
        spent = (reply.tokens_in, reply.tokens_out, self._remote.cost_usd([reply]))
        return Answers._make((*answers(reply), *spent))


def answers(reply: Reply) -> list[bool | Declined]:
    """What a reply says to each question, in their order; a reason where that is neither yes nor no."""
    text = caption_of(reply)
    if isinstance(text, Declined):
        return [text] * len(QUESTIONS)
    pairs = _pairs(text)
    if pairs is None:
        return [Declined("malformed reply", text[:200])] * len(QUESTIONS)
    count, said = Counter(name for name, _ in pairs), dict(pairs)
    return [
        _answer(said[name], count[name]) if name in said else Declined("no answer", name)
        for name in QUESTIONS
    ]


_WORDS = {"yes": True, "true": True, "no": False, "false": False}


def _answer(value: Any, count: int) -> bool | Declined:
    if count == 1 and isinstance(value, bool):
        return value
    word = value.strip().rstrip(".!").lower() if isinstance(value, str) else ""
    if count == 1 and word in _WORDS:
        return _WORDS[word]
    return Declined("malformed answer", repr(value)[:80] if count == 1 else "answered twice")


def _pairs(text: str) -> list[tuple[str, Any]] | None:
    """Names and values of the one JSON object in a text, as they stand there; None where there is none."""
    body = re.search(r"\{.*\}", text, re.DOTALL)
    try:
        found = json.loads(body[0], object_pairs_hook=_Pairs) if body is not None else None
    except (ValueError, RecursionError):
        return None
    return list(found) if isinstance(found, _Pairs) else None


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, twice what stands there twice."""
