"""Loudness and silence of clips: against the standard's known values, FFmpeg's meter, and a filter run by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from made_videos import made, numbered, sounding
from sluice.codec.video import AudioBlock, audio_blocks, even_blocks
from sluice.operator import Program, registry
from sluice.ops.video.sound import video_sound
from sluice.sample import Item, Media, Sample

RATE = 48_000
LOUDNESS, SILENCE = "video_audio_loudness_lufs", "video_silence_ratio"


def sine(hz: float, length_s: float, dbfs: float = 0.0) -> NDArray[np.float32]:
    """One channel [n, 1] of a sine whose peaks are at `dbfs`."""
    wave = np.sin(2 * np.pi * hz * np.arange(round(length_s * RATE)) / RATE)
    return (10 ** (dbfs / 20) * wave).astype(np.float32)[:, None]


def found(data: bytes, name: str, **view: Any) -> Any:
    """The value of one measure, or the reason why there is none."""
    settings = {key: view.pop(key) for key in ("floor_dbfs",) if key in view}
    media = Media(data=data, size=len(data), **view)
    sample = Sample("s", "s", (Item("video", "video/x-matroska", "mkv", media=media),))
    measured = Program([registry().bind(name, settings)])([sample])
    value = measured.columns[name][0][0]
    return value if value is not None else measured.notes[0][0].reason


def test_a_full_scale_sine_in_one_channel_has_minus_3_01_lufs() -> None:
    assert found(sounding(sine(997, 4), length_s=4), LOUDNESS) == pytest.approx(-3.01, abs=0.01)
    both = np.repeat(sine(1000, 4, -23), 2, axis=1)  # EBU Tech 3341, test 1
    assert found(sounding(both, length_s=4, layout="stereo"), LOUDNESS) == pytest.approx(-23, abs=0.1)


def test_quiet_parts_are_gated() -> None:
    """EBU Tech 3341, test 4, of which the loud part alone counts; shortened."""
    levels = (-72, -36, -23, -36, -72)
    parts = [sine(1000, 20 if level == -23 else 3, level) for level in levels]
    tone = np.repeat(np.concatenate(parts), 2, axis=1)
    data = sounding(tone, length_s=len(tone) / RATE, layout="stereo")
    assert found(data, LOUDNESS) == pytest.approx(-23, abs=0.1)


def test_channels_weigh_what_the_standard_says() -> None:
    """EBU Tech 3341, test 6: front at -28, centre at -24, surround at -30 dBFS; anything in the LFE."""
    levels = (-28, -28, -24, 0, -30, -30)
    tone = np.concatenate([sine(1000, 4, level) for level in levels], axis=1)
    assert found(sounding(tone, length_s=4, layout="5.1"), LOUDNESS) == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize(
    ("channel", "others", "weight"),
    [("SL", (), 1.41), ("BL", (), 1.41), ("BL", ("SL",), 1.0), ("LFE", (), 0.0), ("NONE", (), 1.0)],
)
def test_surround_channels_are_those_beside_the_listener(
    channel: str, others: tuple[str, ...], weight: float
) -> None:
    samples = np.concatenate([sine(1000, 0.1), np.zeros((4800, len(others)), np.float32)], axis=1)
    powers = []
    for names in (("FC", *("FR" for _ in others)), (channel, *others)):
        track = video_sound()
        track.start(None)
        powers.append(track(AudioBlock(0.0, samples, RATE, names)).power)
    assert powers[1] == pytest.approx(weight * powers[0])


def test_steps_are_those_of_the_filters_run_sample_by_sample() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, (RATE // 2, 2)).astype(np.float32)
    track = video_sound()
    track.start(None)
    blocks = [AudioBlock(k / 10, samples[k * 4800 : (k + 1) * 4800], RATE, ("FL", "FR")) for k in range(5)]
    rows = [track(block) for block in blocks]
    heard = _by_hand(_by_hand(samples, SHELF), HIGH_PASS)
    for k, row in enumerate(rows):
        wanted = np.square(heard[k * 4800 : (k + 1) * 4800]).mean(axis=0).sum()
        assert row.power == pytest.approx(wanted, rel=1e-9)


SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585)
HIGH_PASS = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)


def _by_hand(samples: NDArray[Any], filter_: tuple[float, ...]) -> NDArray[np.float64]:
    b0, b1, b2, a1, a2 = filter_
    out = np.zeros(samples.shape)
    x1 = x2 = y1 = y2 = np.zeros(samples.shape[1])
    for n, x in enumerate(samples.astype(np.float64)):
        out[n] = y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
        x1, x2, y1, y2 = x, x1, y, y1
    return out


def test_a_clip_is_measured_by_its_own_sound() -> None:
    tone = np.concatenate([sine(997, 3, -40), sine(997, 3, -20), np.zeros((3 * RATE, 1), np.float32)])
    data = sounding(tone, length_s=9)
    assert found(data, LOUDNESS, start_s=0.5, end_s=2.5) == pytest.approx(-43.01, abs=0.02)
    assert found(data, LOUDNESS, start_s=3.5, end_s=5.5) == pytest.approx(-23.01, abs=0.02)
    assert found(data, LOUDNESS, start_s=6.5, end_s=8.5) == "silence"
    assert found(data, SILENCE) == pytest.approx(1 / 3)
    assert found(data, SILENCE, start_s=2.0, end_s=4.0) == 0
    assert found(data, SILENCE, start_s=2.0, end_s=4.0, floor_dbfs=-30.0) == pytest.approx(0.5)
    assert found(data, SILENCE, start_s=0.01, end_s=0.09) == "too short"


def test_missing_sound_is_silence_and_is_not_gated() -> None:
    data = sounding(sine(997, 2, -20), length_s=8, starts_s=2.05)
    assert found(data, LOUDNESS) == pytest.approx(-23.01, abs=0.02), "the half-filled steps do not count"
    assert found(data, SILENCE) == pytest.approx(1 - 21 / 80)
    assert found(data, SILENCE, start_s=5.0, end_s=8.0) == 1
    assert found(data, LOUDNESS, start_s=5.0, end_s=8.0) == "too little sound"
    quiet = made(numbered(20), fps=10)
    assert (found(quiet, LOUDNESS), found(quiet, SILENCE)) == ("no sound", "no sound")


def test_an_offset_nobody_hears_is_silence() -> None:
    offset = np.full((2 * RATE, 1), 0.3, np.float32)
    data = sounding(offset, length_s=2)
    assert found(data, SILENCE) == 1


def test_blocks_are_even_and_say_what_is_missing() -> None:
    tone = sine(440, 0.95)
    data = sounding(tone, length_s=2, starts_s=0.25)
    media = Media(data=data, size=len(data))
    blocks = list(even_blocks(media, sample_rate_hz=RATE, length_s=0.1))
    assert [round(b.time_s * 10) for b in blocks] == list(range(2, 12))
    assert [b.missing for b in blocks] == [2400] + [0] * 9
    joined = np.concatenate([b.samples for b in blocks])[2400:]
    assert np.array_equal(joined, tone)
    assert all(b.channels == ("FC",) for b in audio_blocks(media))


MEASURED_BY_FFMPEG = [
    "data-juicer__video1.mp4", "data-juicer__video4.mp4", "decord__flipping_a_pancake.mkv", "mmaction2__test.avi",
    "moviepy__chaplin.mp4", "moviepy__example2.mp4", "moviepy__smpte-2997.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", MEASURED_BY_FFMPEG)
def test_real_sound_is_as_loud_as_ffmpeg_says(name: str, data_dir: Path) -> None:
    path = data_dir / "videos" / name
    assert found(path.read_bytes(), LOUDNESS) == pytest.approx(ebur128(path), abs=0.02)


def ebur128(path: Path) -> float:
    """What FFmpeg's own meter says of all sound of a file."""
    import av
    from av.filter import Graph

    said = "nan"
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        graph = Graph()
        source, meter = graph.add_abuffer(template=stream), graph.add("ebur128", "metadata=1")
        sink = graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        graph.configure()
        for frame in file.decode(stream):
            graph.push(frame)
            while True:
                try:
                    said = graph.pull().metadata.get("lavfi.r128.I", said)  # type: ignore[union-attr]
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
    return float(said)
