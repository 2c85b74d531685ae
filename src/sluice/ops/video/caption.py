"""What happens in a clip, window by window, in words of a model behind an endpoint?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple, Unpack

from pydantic import Field as Setting

from sluice.codec.video.windows import LEAST_FRAMES, LEAST_REMAINDER, WINDOW_FRAMES
from sluice.errors import SampleError
from sluice.model.captions import caption_of
from sluice.model.endpoint import Reply
from sluice.model.langid import packaged_identifier
from sluice.model.prompts import VideoPrompt, prompt_text, text_hash
from sluice.model.remote import EndpointSettings, Question, RemoteModel, tokens
from sluice.operator import Field, measure
from sluice.ops.video.asked import message
from sluice.ops.video.captions import WindowCaption, clip_text, to_json, uncaptioned
from sluice.ops.video.frame import LIBRARIES
from sluice.ops.video.windows import FPS, MOST_FRAMES, MOST_PIXELS, Part, Sampling, Window, of_each, parts
from sluice.sample import Media


class WindowCaptions(NamedTuple):
    """The captions of a clip's windows, which model and prompt made them, and what they took together."""

    text: Annotated[str, Field()]
    windows: Annotated[str, Field()]
    uncaptioned_count: Annotated[int, Field(unit="windows", ge=0)]
    model: Annotated[str, Field()]
    prompt: Annotated[str, Field()]
    tokens_in: Annotated[int | None, Field(unit="tokens", ge=0)]
    tokens_out: Annotated[int | None, Field(unit="tokens", ge=0)]
    cost_usd: Annotated[float | None, Field(unit="USD", ge=0)]


@measure(version=1, cost="remote", libraries=(*LIBRARIES, "simplejpeg", "py3langid"))
class video_caption:  # noqa: N801 - an operator's name is its class's
    """Captions of a clip's windows by a vision-language model over an OpenAI-compatible endpoint.

    A window has `window_frames` frames; a remainder of `min_remainder_frames` or more is a window of its own, a smaller
    one joins the last (600 frames: 256 + 344), and a clip of less than four frames is declined with `too few frames`.
    The model is shown `fps` frames a second of each, as JPEGs, at most `max_frames` of them, scaled down to
    `max_pixels` all together.

    Columns: `text`, the captions of all windows with blank lines between; `windows`, a JSON list of `start_frame`,
    `end_frame` (exclusive), `text`, `reason`, `prompt_tokens`, `completion_tokens`; `uncaptioned_count`, how many of
    them have none; `model` and `prompt` (xxh3-64 of its text); `tokens_in`, `tokens_out` and `cost_usd` of all windows.
    A window's text is null, with its reason, for what is `empty`, `refused`, `truncated` (at `max_tokens`) or in a
    `wrong language`; the clip's is null where that is so of all. `sample_add_window_captions` writes them.

    Every reply is on disk, in the store's `journal`, before it is used, under the digest of the frames, the model, the
    prompt and the settings: no window is asked for twice. `prompt`: default, driving, surveillance, short, medium,
    long, or a text file's path. `language` is an ISO 639-1 code; captions of four words or more are judged by it.
    """

    def __init__(
        self,
        *,
        prompt: VideoPrompt = "default",
        max_tokens: Annotated[int, Setting(ge=1)] = 512,
        language: str | None = None,
        window_frames: Annotated[int, Setting(ge=LEAST_FRAMES)] = WINDOW_FRAMES,
        min_remainder_frames: Annotated[int, Setting(ge=LEAST_FRAMES)] = LEAST_REMAINDER,
        fps: Annotated[float, Setting(gt=0)] = FPS,
        max_frames: Annotated[int, Setting(ge=1)] = MOST_FRAMES,
        max_pixels: Annotated[int, Setting(ge=1024)] = MOST_PIXELS,
        **endpoint: Unpack[EndpointSettings],
    ) -> None:
        self._language, self._lengths = language, (window_frames, min_remainder_frames)
        self._sampling = Sampling(fps, max_frames, max_pixels)
        self._text = prompt_text(prompt, "video")
        self._prompt = text_hash(self._text)
        asked = {"prompt": self._prompt}
        self._remote = RemoteModel(max_tokens=max_tokens, asked=asked, **endpoint)

    def open(self) -> None:
        """Open the journal; nothing is sent yet."""
        self._remote.open()
        if self._language is not None:
            packaged_identifier()

    def __call__(self, media: list[Media | None]) -> list[WindowCaptions]:
        """The captions of each clip, or the exception that says why it has none."""
        of_clips = [parts(view, *self._lengths) for view in media]
        asks = [partial(self._question, part) for each in of_clips if isinstance(each, list) for part in each]
        found: list[Any] = [
            each if isinstance(each, SampleError) else self._captions(each)
            for each in of_each(of_clips, self._remote(asks))
        ]
        return found

    def _question(self, part: Part) -> Question:
        seen = part.shown(self._sampling)
        return Question({"frames": seen.digest}, lambda: message(self._text, seen))

    def _captions(self, replies: Sequence[tuple[Window, Reply | SampleError]]) -> Any:
        said, paid = [], []
        for window, reply in replies:
            if isinstance(reply, SampleError):
                return reply
            paid.append(reply)
            text = caption_of(reply, self._language)
            said.append(WindowCaption.of(window, text, (reply.tokens_in, reply.tokens_out)))
        return total(said, self._remote, self._prompt, paid)


def total(
    said: Sequence[WindowCaption], remote: RemoteModel, prompt: str, paid: Sequence[Reply]
) -> WindowCaptions:
    """What is stored of a clip whose windows have these captions, for which these replies were paid."""
    text: Any = clip_text(said)
    return WindowCaptions(
        text,
        to_json(said),
        uncaptioned(said),
        remote.name,
        prompt,
        tokens(reply.tokens_in for reply in paid),
        tokens(reply.tokens_out for reply in paid),
        remote.cost_usd(paid),
    )
