"""Has a video sound?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.video.info import ClipInfo


@measure(version=1, cost="header")
def video_has_audio(video_info: ClipInfo) -> Annotated[bool, Field(true_means="there is an audio stream")]:
    """True where the source has an audio stream, be it silent; see `video_audio` for what it is."""
    return video_info.source.has_audio
