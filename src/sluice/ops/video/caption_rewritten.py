"""How would a text model put what was said of a clip's windows?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, Unpack

from pydantic import Field as Setting

from sluice.errors import SampleError
from sluice.model.captions import caption_of
from sluice.model.endpoint import Reply
from sluice.model.langid import packaged_identifier
from sluice.model.prompts import TextPrompt, prompt_text, text_hash
from sluice.model.remote import Ask, EndpointSettings, Question, RemoteModel
from sluice.operator import measure
from sluice.operator.spec import When
from sluice.ops.video.caption import WindowCaptions, total
from sluice.ops.video.captions import WindowCaption, from_json

_WINDOWS = WindowCaptions._fields.index("windows")
"""Place of the windows among what `video_caption` and `video_caption_local` make."""


@measure(version=1, cost="remote", libraries=("py3langid",))
class video_caption_rewritten:  # noqa: N801 - an operator's name is its class's
    """The captions of a clip's windows, each rewritten by a text model over an OpenAI-compatible endpoint.

    `by` says whose captions: of `video_caption`, or of `video_caption_local`, with the settings of the recipe's
    `measure` of that name, or those under `with`. The model
    is sent `prompt` (rewrite, or a text file's path) and the caption below it, and no picture. Columns are as of
    `video_caption`; tokens and cost are of the rewriting alone. A window without a caption has none here either, with
    the same reason; what the model replies is judged as captions are (`empty`, `refused`, `truncated` at `max_tokens`,
    `wrong language` than `language`). Replies are journaled: no caption is rewritten twice.
    """

    def __init__(
        self,
        *,
        by: Literal["endpoint", "local"] = "endpoint",
        prompt: TextPrompt = "rewrite",
        max_tokens: Annotated[int, Setting(ge=1)] = 512,
        language: str | None = None,
        **endpoint: Unpack[EndpointSettings],
    ) -> None:
        self._language, self._text = language, prompt_text(prompt, "text")
        self._prompt = text_hash(self._text)
        asked = {"prompt": self._prompt}
        self._remote = RemoteModel(max_tokens=max_tokens, asked=asked, **endpoint)

    def open(self) -> None:
        """Open the journal; nothing is sent yet."""
        self._remote.open()
        if self._language is not None:
            packaged_identifier()

    def __call__(
        self,
        video_caption: Annotated[list[Any], When("by", "endpoint")],
        video_caption_local: Annotated[list[Any], When("by", "local")],
    ) -> list[WindowCaptions]:
        """The captions of each clip anew, or the exception that says why there are none."""
        given = [first or second for first, second in zip(video_caption, video_caption_local, strict=True)]
        clips = [from_json(value[_WINDOWS]) for value in given]
        replies = iter(self._remote(list(self._asks(clips))))
        found: list[Any] = [self._rewritten(clip, replies) for clip in clips]
        return found

    def _asks(self, clips: Sequence[Sequence[WindowCaption]]) -> Iterator[Ask]:
        for clip in clips:
            yield from (partial(self._question, each.text) for each in clip if each.text is not None)

    def _question(self, text: str) -> Question:
        return Question({"text": text_hash(text)}, lambda: f"{self._text}\n\n{text}")

    def _rewritten(self, clip: Sequence[WindowCaption], replies: Iterator[Reply | SampleError]) -> Any:
        said, paid, trouble = [], [], None
        for each in clip:
            if each.text is None:
                said.append(replace(each, prompt_tokens=0, completion_tokens=0))
                continue
            reply = next(replies)
            if isinstance(reply, SampleError):
                trouble = reply
                continue
            paid.append(reply)
            text = caption_of(reply, self._language)
            said.append(WindowCaption.of(each.window, text, (reply.tokens_in, reply.tokens_out)))
        return trouble or total(said, self._remote, self._prompt, paid)
