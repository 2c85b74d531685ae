"""What kind of video is a clip, in the eyes of a vision-language model?"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, NamedTuple, Unpack

from pydantic import AfterValidator
from pydantic import Field as Setting

from sluice.errors import Declined, SampleError
from sluice.model.captions import caption_of
from sluice.model.endpoint import Reply
from sluice.model.prompts import LabelPrompt, prompt_text, text_hash
from sluice.model.remote import EndpointSettings, RemoteModel
from sluice.operator import Field, measure
from sluice.ops.video.asked import about_clip
from sluice.ops.video.frame import LIBRARIES
from sluice.ops.video.vlm import MOST_FRAMES
from sluice.ops.video.windows import FPS, MOST_PIXELS, Sampling
from sluice.sample import Media

LABELS = (
    "film or series",
    "animation",
    "video game",
    "screen recording",
    "news",
    "sport",
    "music",
    "talk or lecture",
    "how-to",
    "advertisement",
    "nature",
    "travel",
    "driving",
    "surveillance",
    "everyday life",
    "other",
)
"""Kinds of video that are told apart where a recipe names no others; a list of ours."""


class ContentType(NamedTuple):
    """The label, and what it took."""

    value: Annotated[str, Field()]
    tokens_in: Annotated[int | None, Field(unit="tokens", ge=0)]
    tokens_out: Annotated[int | None, Field(unit="tokens", ge=0)]
    cost_usd: Annotated[float | None, Field(unit="USD", ge=0)]


def _plain(label: str) -> str:
    return label.strip(" \t\n\"'`*.:").casefold()


def _told_apart(labels: tuple[str, ...]) -> tuple[str, ...]:
    seen: dict[str, str] = {}
    for label in labels:
        plain = _plain(label)
        if not plain:
            raise ValueError(f"the label {label!r} has no word")
        if plain in seen:
            raise ValueError(
                f"the labels {seen[plain]!r} and {label!r} are one, but for case and punctuation"
            )
        seen[plain] = label
    return labels


@measure(version=1, cost="remote", libraries=(*LIBRARIES, "simplejpeg"))
class video_content_type:  # noqa: N801 - an operator's name is its class's
    """The one of `labels` that a vision-language model gives a clip, over an OpenAI-compatible endpoint.

    The model sees frames of the whole clip, as for `video_vlm` (`fps`, `max_frames`, `max_pixels`), and answers with a
    label, case and punctuation around it left out of account. Null, with its reason, is a reply that is `not a
    label`, and what is no caption either: `refused`, `empty`, `truncated` (at `max_tokens`). `prompt` is default, or
    the path of a text file; the labels are put below it, one a line. Replies are journaled as of `video_caption`.
    """

    def __init__(
        self,
        *,
        labels: Annotated[tuple[str, ...], Setting(min_length=2), AfterValidator(_told_apart)] = LABELS,
        prompt: LabelPrompt = "default",
        max_tokens: Annotated[int, Setting(ge=1)] = 32,
        fps: Annotated[float, Setting(gt=0)] = FPS,
        max_frames: Annotated[int, Setting(ge=1)] = MOST_FRAMES,
        max_pixels: Annotated[int, Setting(ge=1024)] = MOST_PIXELS,
        **endpoint: Unpack[EndpointSettings],
    ) -> None:
        self._labels = {_plain(label): label for label in labels}
        self._sampling = Sampling(fps, max_frames, max_pixels)
        self._text = "\n\n".join([prompt_text(prompt, "label"), "\n".join(labels)])
        asked = {"prompt": text_hash(self._text)}
        self._remote = RemoteModel(max_tokens=max_tokens, asked=asked, **endpoint)

    def open(self) -> None:
        """Open the journal; nothing is sent yet."""
        self._remote.open()

    def __call__(self, media: list[Media | None]) -> list[ContentType]:
        """The label of each clip, or the exception that says why it has none."""
        replies = self._remote([partial(about_clip, self._text, self._sampling, view) for view in media])
        found: list[Any] = [
            reply if isinstance(reply, SampleError) else self._content_type(reply) for reply in replies
        ]
        return found

    def _content_type(self, reply: Reply) -> ContentType:
        text = caption_of(reply)
        label: Any = text
        if not isinstance(text, Declined):
            label = self._labels.get(_plain(text)) or Declined("not a label", text[:80])
        return ContentType(label, reply.tokens_in, reply.tokens_out, self._remote.cost_usd([reply]))
