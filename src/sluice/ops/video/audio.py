"""How is a video's sound stored?"""

from typing import Annotated, NamedTuple

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.video.info import ClipInfo


class Audio(NamedTuple):
    """The audio stream."""

    codec: Annotated[str, Field()]
    sample_rate_hz: Annotated[int, Field(unit="Hz", ge=0, higher_is="finer", bound=">= 16000")]
    channels: Annotated[int, Field(unit="channels", ge=0, higher_is="more channels")]


@measure(version=1, cost="header")
def video_audio(video_info: ClipInfo) -> Audio:
    """The source's audio stream: codec by FFmpeg's name (`aac`, `opus`, `mp3`, …), samples a second and channels.

    The codec is `unknown`, with 0 samples and channels, where FFmpeg has no decoder for it. Declined with `no sound`
    where there is no audio stream.
    """
    audio = video_info.source.audio
    if audio is None:
        raise Declined("no sound", "the video has no audio stream")
    return Audio(audio.codec, audio.sample_rate_hz, audio.channels)
