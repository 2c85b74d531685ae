"""Video: from encoded bytes to frames, sound and motion; the only package that touches PyAV."""

from sluice.codec.video.audio import AudioBlock, audio_blocks, even_blocks
from sluice.codec.video.decode import decode
from sluice.codec.video.frame import Frame
from sluice.codec.video.info import AudioInfo, VideoInfo, probe
from sluice.codec.video.motion_vectors import MotionVectors
from sluice.codec.video.sample import frame_times, frames_along, frames_at, keyframes, uniform_times

__all__ = [
    "AudioBlock",
    "AudioInfo",
    "Frame",
    "MotionVectors",
    "VideoInfo",
    "audio_blocks",
    "decode",
    "even_blocks",
    "frame_times",
    "frames_along",
    "frames_at",
    "keyframes",
    "probe",
    "uniform_times",
]
