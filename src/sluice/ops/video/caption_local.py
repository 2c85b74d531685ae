"""What happens in a clip, window by window, in words of a model on this machine?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field as Setting

from sluice.codec.video.windows import LEAST_FRAMES, LEAST_REMAINDER, WINDOW_FRAMES
from sluice.errors import SampleError
from sluice.model.captioner import DEFAULT, Captioner
from sluice.model.captions import caption_of
from sluice.model.device import Device, DtypeName
from sluice.model.endpoint import Reply
from sluice.model.files import Weights, digest
from sluice.model.journal import journal_of, request_key
from sluice.model.langid import packaged_identifier
from sluice.model.prompts import VideoPrompt, prompt_text, text_hash
from sluice.model.remote import tokens
from sluice.model.runner import BatchSize
from sluice.operator import Field, measure
from sluice.ops.video.captions import WindowCaption, clip_text, to_json, uncaptioned
from sluice.ops.video.frame import LIBRARIES
from sluice.ops.video.windows import (
    FPS,
    MOST_FRAMES,
    MOST_PIXELS,
    Part,
    Sampling,
    Shown,
    Window,
    of_each,
    parts,
)
from sluice.sample import Media

WINDOWS_AT_ONCE = 16
"""Windows whose pictures are in memory together: 200 MB with the default budget of pixels."""


class LocalWindowCaptions(NamedTuple):
    """The captions of a clip's windows, which model and prompt made them, and how long they are for the model."""

    text: Annotated[str, Field()]
    windows: Annotated[str, Field()]
    uncaptioned_count: Annotated[int, Field(unit="windows", ge=0)]
    model: Annotated[str, Field()]
    prompt: Annotated[str, Field()]
    tokens_out: Annotated[int | None, Field(unit="tokens", ge=0)]


@measure(version=1, cost="model", libraries=(*LIBRARIES, "torch", "transformers", "py3langid"))
class video_caption_local:  # noqa: N801 - an operator's name is its class's
    """Captions of a clip's windows by any image-to-text model of transformers; greedy, repeatable.

    Windows (`window_frames`, `min_remainder_frames`), their frames (`fps`, `max_frames`, `max_pixels`) and the columns
    are as of `video_caption`, but that only `tokens_out` is counted; a caption has `max_tokens` at most. A model that
    chats (LLaVA, Qwen-VL and their kin) is shown all frames of a window and asked `prompt`; any other (BLIP, GIT) sees
    the middle one and is asked nothing. Replies are kept in the store's `journal`: no window is captioned twice.

    `model` is a path or name; the default is BLIP base (Li et al., 2022). `prompt`: default, driving, surveillance,
    short, medium, long, or a text file's path. `language` is an ISO 639-1 code. `device`, `dtype` and `batch_size`
    are as of `image_caption_local`.
    """

    def __init__(
        self,
        *,
        model: Weights = DEFAULT,
        prompt: VideoPrompt = "default",
        max_tokens: Annotated[int, Setting(ge=1)] = 256,
        language: str | None = None,
        window_frames: Annotated[int, Setting(ge=LEAST_FRAMES)] = WINDOW_FRAMES,
        min_remainder_frames: Annotated[int, Setting(ge=LEAST_FRAMES)] = LEAST_REMAINDER,
        fps: Annotated[float, Setting(gt=0)] = FPS,
        max_frames: Annotated[int, Setting(ge=1)] = MOST_FRAMES,
        max_pixels: Annotated[int, Setting(ge=1024)] = MOST_PIXELS,
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self._model, self._language, self._max_tokens = model, language, max_tokens
        self._text = prompt_text(prompt, "video")
        self._prompt = text_hash(self._text)
        self._lengths = (window_frames, min_remainder_frames)
        self._sampled = (fps, max_frames, max_pixels)
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}

    def open(self) -> None:
        """Open the journal and load the model."""
        if self._language is not None:
            packaged_identifier()
        self._journal = journal_of(self._model)
        self._captioner = Captioner(
            self._model, self._text, max_tokens=self._max_tokens, **self._runs_on
        ).open()
        fps, most_frames, most_pixels = self._sampled
        self._sampling = Sampling(fps, most_frames if self._captioner.chats else 1, most_pixels)
        self._asked = {
            "model": digest(self._model),
            "prompt": self._prompt if self._captioner.chats else "",
            "max_tokens": self._max_tokens,
            "runs_on": self._captioner.runs_on,
        }

    def __call__(self, media: list[Media | None]) -> list[LocalWindowCaptions]:
        """The captions of each clip, or the exception that says why it has none."""
        self._journal.refresh()
        of_clips = [parts(view, *self._lengths) for view in media]
        todo = [part for each in of_clips if isinstance(each, list) for part in each]
        starts = range(0, len(todo), WINDOWS_AT_ONCE)
        replies = [reply for k in starts for reply in self._replies(todo[k : k + WINDOWS_AT_ONCE])]
        found: list[Any] = [
            each if isinstance(each, SampleError) else self._captions(each)
            for each in of_each(of_clips, replies)
        ]
        return found

    def _replies(self, asked: Sequence[Part]) -> list[Reply | SampleError]:
        """A reply to each window, of the journal where it has one; or why it cannot be seen."""
        seen = [self._seen(part) for part in asked]
        keys = [request_key(self._request(each)) if isinstance(each, Shown) else "" for each in seen]
        windows = {key: each for key, each in zip(keys, seen, strict=True) if isinstance(each, Shown)}
        known = {key: self._journal.get(key) for key in windows}
        replies = {key: Reply(**reply) for key, reply in known.items() if reply is not None}
        todo = {key: each for key, each in windows.items() if key not in replies}
        made = self._captioner([each.pictures for each in todo.values()]) if todo else []
        for (key, each), reply in zip(todo.items(), made, strict=True):
            self._journal.put(key, self._request(each), vars(reply))
            replies[key] = reply
        return [
            each if isinstance(each, SampleError) else replies[key]
            for key, each in zip(keys, seen, strict=True)
        ]

    def _request(self, seen: Shown) -> dict[str, Any]:
        return {**self._asked, "frames": seen.digest}

    def _seen(self, part: Part) -> Shown | SampleError:
        try:
            return part.shown(self._sampling)
        except SampleError as error:
            return error

    def _captions(self, replies: Sequence[tuple[Window, Reply | SampleError]]) -> Any:
        said = []
        for window, reply in replies:
            if isinstance(reply, SampleError):
                return reply
            text = caption_of(reply, self._language)
            said.append(WindowCaption.of(window, text, (None, reply.tokens_out)))
        whole: Any = clip_text(said)
        return LocalWindowCaptions(
            whole,
            to_json(said),
            uncaptioned(said),
            self._model,
            self._prompt,
            tokens(each.completion_tokens for each in said),
        )
