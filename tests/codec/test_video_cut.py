"""Clips cut out of a source hold the frames of their span: every way of cutting, many kinds of source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from made_videos import made, number_of, numbered, scenes
from sluice.codec.video import draft
from sluice.codec.video.clip import ClipFailure, ClipFile, ClipSettings, ClipSpan, CutWork
from sluice.codec.video.cut import cut_clips
from sluice.codec.video.index import video_tables
from sluice.errors import StorageError
from sluice.sample import Media

COUNT, FPS = 100, 25
SPANS = [(0.0, 1.0), (0.5, 2.3), (1.28, 3.0), (2.84, 4.0), (3.9, 4.0)]
"""From the first frame, over several groups, next to each other, overlapping, to the end, less than a group."""

KINDS: dict[str, dict[str, Any]] = {
    "b-frames": {"options": {"sc_threshold": "0"}},
    "no b-frames": {"options": {"bf": "0", "preset": "ultrafast"}},
    "many references": {"options": {"preset": "slow", "bf": "3", "b-pyramid": "normal", "g": "24"}},
    "one group": {"options": {"g": "1000", "sc_threshold": "0"}},
    "all key frames": {"options": {"g": "1"}},
    "annex b": {"container": "mpegts", "options": {"sc_threshold": "0"}},
    "matroska": {"container": "matroska", "options": {"sc_threshold": "0"}},
    "hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:open-gop=0:bframes=2"}},
    "hevc, open groups": {
        "codec": "libx265",
        "options": {"x265-params": "log-level=none:keyint=12:min-keyint=12:open-gop=1:bframes=3:scenecut=0"},
    },
    "mpeg-4": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "mpeg-2": {"codec": "mpeg2video", "container": "mpegts", "options": {"bf": "2", "g": "12"}},
    "variable rate": {
        "times": [*range(0, 2000, 40), *range(2000, 7000, 100)],
        "options": {"sc_threshold": "0"},
    },
}
TWO_ENCODERS = (
    "b-frames",
    "no b-frames",
    "many references",
    "annex b",
    "matroska",
    "hevc",
    "hevc, open groups",
)
"""Kinds whose clips `smart` may not transcode."""


def source_of(kind: str, count: int = COUNT, **more: Any) -> Media:
    data = made(numbered(count), fps=FPS, **(KINDS[kind] | more))
    return Media(size=len(data), data=data)


def cut(media: Media, spans: Sequence[Any], folder: Path, mode: str, **settings: Any) -> list[Any]:
    wanted = [ClipSpan(*span) for span in spans]
    return list(cut_clips(media, wanted, ClipSettings(mode, **settings), folder=folder))  # type: ignore[arg-type]


def shown(clip: ClipFile, folder: Path) -> tuple[list[int], list[float]]:
    """The numbers that a clip's frames carry and their times, from the bytes that a writer takes."""
    place = folder / "taken.mp4"
    place.write_bytes(b"".join(clip.chunks()))
    with av.open(str(place)) as container:
        frames = list(container.decode(video=0))
    numbers = [number_of(f.to_ndarray(format="gray")) for f in frames]
    return numbers, [float((f.pts or 0) * (f.time_base or 0)) for f in frames]


def times_of(kind: str) -> list[float]:
    """When each picture is shown, in seconds since the first."""
    times = KINDS[kind].get("times", [1000 * k // FPS for k in range(COUNT)])
    return [(t - times[0]) / 1000 for t in times]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["transcode", "smart"])
def test_a_clip_holds_the_frames_of_its_span(kind: str, mode: str, tmp_path: Path) -> None:
    times, media = times_of(kind), source_of(kind)
    for (start, end), clip in zip(SPANS, cut(media, SPANS, tmp_path, mode), strict=True):
        wanted = [k for k, t in enumerate(times) if start - 1e-6 <= t < end - 1e-6]
        assert isinstance(clip, ClipFile), clip
        numbers, when = shown(clip, tmp_path)
        assert numbers == wanted
        assert when == pytest.approx([times[k] - times[wanted[0]] for k in wanted], abs=2e-3)
        assert clip.start_s == pytest.approx(times[wanted[0]], abs=1e-4)
        assert clip.frame_count == len(wanted)
        if mode == "smart" and kind in TWO_ENCODERS:
            assert (clip.mode_used, clip.fallback_reason) == ("smart", None)


@pytest.mark.parametrize("kind", ["b-frames", "annex b", "matroska", "hevc", "variable rate"])
def test_a_copy_begins_with_a_key_frame_and_tells_its_true_span(kind: str, tmp_path: Path) -> None:
    times, media = times_of(kind), source_of(kind)
    for (start, end), clip in zip(SPANS, cut(media, SPANS, tmp_path, "copy"), strict=True):
        assert isinstance(clip, ClipFile), clip
        numbers, _ = shown(clip, tmp_path)
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[0] % 12 == 0
        assert times[numbers[0]] <= start + 1e-6
        assert start < times[min(numbers[0] + 12, COUNT - 1)]
        assert times[numbers[-1]] >= min(end, times[-1]) - (times[1] - times[0]) - 0.25
        assert clip.start_s == pytest.approx(times[numbers[0]], abs=1e-4)


def test_copies_are_the_same_in_memory_and_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media, spans = source_of("b-frames", sound_s=4.0), [(0.0, 4.0), (0.5, 1.0), (2.0, 3.0)]
    small = cut(media, spans, tmp_path, "copy")
    # Those that end before an earlier one wait for it on disk, so that no more than one is in memory.
    assert [clip.path is None for clip in small] == [True, False, False]
    data = [b"".join(clip.chunks()) for clip in small]
    monkeypatch.setattr(draft, "MOST_IN_MEMORY", 2000)
    large = cut(media, spans, tmp_path, "copy")
    assert [clip.path for clip in large] == [tmp_path / f"00000{k}.mp4" for k in range(3)]
    assert [b"".join(clip.chunks()) for clip in large] == data
    assert [clip.size_bytes for clip in large] == [len(one) for one in data]


@pytest.mark.parametrize("table", [b"stts", b"ctts", b"stsz"])
def test_a_copy_whose_index_does_not_tell_what_was_copied_fails(
    table: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(self: draft.Draft) -> bytes:
        data = bytearray(whole(self))
        at = data.index(table) + 15
        data[at] ^= 1
        return bytes(data)

    whole = draft.Draft.data.fget
    monkeypatch.setattr(draft.Draft, "data", property(damaged))
    (clip,) = cut(source_of("b-frames"), [(0.5, 2.0)], tmp_path, "copy")
    assert isinstance(clip, ClipFailure)
    assert clip.reason in ("corrupt", "wrong frame count", "wrong times of the frames")


@pytest.mark.parametrize("kind", ["b-frames", "all key frames", "variable rate", "hevc, open groups"])
def test_tables_of_an_index_tell_what_a_demuxer_tells(kind: str) -> None:
    media = source_of(kind)
    tables = video_tables(media.open())
    with av.open(media.open()) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        video = container.streams.video[0]
        assert (tables.width_px, tables.height_px, tables.scale) == (160, 96, video.time_base.denominator)
    first = min(p.pts for p in packets)
    assert [b - tables.begins.min() for b in tables.begins] == [p.pts - first for p in packets]
    assert tables.duration == pytest.approx(sum(p.duration for p in packets), abs=packets[-1].duration)


def packets_of(path_or_data: Any) -> list[str]:
    with av.open(path_or_data) as container:
        return [hashlib.sha1(bytes(p)).hexdigest() for p in container.demux(video=0) if p.size]


def test_whole_groups_are_copied_bit_for_bit(tmp_path: Path) -> None:
    media = source_of("matroska")  # length-prefixed units, as in MP4
    (clip,) = cut(media, [(0.5, 3.5)], tmp_path, "smart")
    place = tmp_path / "clip.mp4"
    place.write_bytes(b"".join(clip.chunks()))
    raw = tmp_path / "source.mkv"
    raw.write_bytes(media.read())
    of_source = set(packets_of(str(raw)))
    copied = [p for p in packets_of(str(place)) if p in of_source]
    groups = (3.5 - 0.5) * FPS // 12 - 1
    assert clip.copied_frame_count >= groups * 12
    assert len(copied) >= clip.copied_frame_count


def test_one_passage_decodes_each_frame_once(tmp_path: Path) -> None:
    media = source_of("b-frames")
    work = CutWork()
    spans = [ClipSpan(0.0, 1.0), ClipSpan(0.5, 2.0), ClipSpan(2.0, 4.0)]
    assert all(isinstance(c, ClipFile) for c in cut_clips(media, spans, folder=tmp_path, work=work))
    assert work.frames_decoded <= COUNT + 1  # the first tells where time begins
    assert work.frames_encoded == 25 + 37 + 50


@pytest.mark.parametrize(
    ("mode", "kind"), [("transcode", "one group"), ("transcode", "mpeg-4"), ("smart", "one group")]
)
def test_before_a_clip_only_what_it_is_made_from_is_decoded(mode: str, kind: str, tmp_path: Path) -> None:
    start, end = (1.6, 2.0) if kind == "one group" else (1.4, 1.8)
    work = CutWork()
    (clip,) = cut_clips(
        source_of(kind), [ClipSpan(start, end)], ClipSettings(mode), folder=tmp_path, work=work
    )  # type: ignore[arg-type]
    assert isinstance(clip, ClipFile)
    before = round(start * FPS) % (COUNT if kind == "one group" else 12)
    lead = work.packets_decoded - clip.frame_count
    assert lead >= before
    assert clip.frame_count < work.frames_decoded < 1 + clip.frame_count + 0.8 * lead


def test_sound_stays_beside_its_pictures(tmp_path: Path) -> None:
    media = source_of("b-frames", sound_s=4.0)
    for mode in ("transcode", "smart", "copy"):
        for clip in cut(media, [(1.0, 3.0)], tmp_path, mode):
            place = tmp_path / "taken.mp4"
            place.write_bytes(b"".join(clip.chunks()))
            with av.open(str(place)) as container:
                sound = sum(f.samples for f in container.decode(audio=0)) / 48_000
            assert clip.audio_codec == "aac"
            assert sound == pytest.approx(clip.duration_s, abs=0.1)
    (silent,) = cut(media, [(1.0, 3.0)], tmp_path, "transcode", audio="drop")
    assert silent.audio_codec is None


def test_pictures_are_turned_cropped_and_made_square_in_the_one_encode(tmp_path: Path) -> None:
    turned = source_of("b-frames", rotation=90)
    (clip,) = cut(turned, [(0.0, 0.4)], tmp_path, "transcode")
    assert (clip.width_px, clip.height_px) == (96, 160)
    wide = source_of("b-frames", sample_aspect_ratio=Fraction(2))
    (clip,) = cut(wide, [(0.0, 0.4)], tmp_path, "transcode")
    assert (clip.width_px, clip.height_px) == (320, 96)
    cropped = [(0.0, 0.4, (0, 0, 101, 81)), (0.0, 0.4, (0, 0, 63, 80)), (0.0, 0.4, (100, 0, 100, 80))]
    found = cut(source_of("b-frames"), cropped, tmp_path, "transcode")
    assert (found[0].width_px, found[0].height_px) == (100, 80)
    assert [c.reason for c in found[1:]] == ["crop under 64 px", "crop outside the picture"]


def test_a_span_without_frames_and_a_broken_end_fail_alone(tmp_path: Path) -> None:
    media = source_of("b-frames", container="mpegts")
    found = cut(media, [(0.0, 1.0), (9.0, 10.0), (2.0, 3.0)], tmp_path, "transcode")
    assert [isinstance(c, ClipFile) for c in found] == [True, False, True]
    assert found[1].reason == "no frames"
    assert not (tmp_path / "000001.mp4").exists()
    half = made(numbered(COUNT), fps=FPS, container="matroska")
    half = half[: len(half) // 2]
    results = cut(Media(size=len(half), data=half), [(0.0, 0.4), (3.0, 4.0)], tmp_path, "transcode")
    assert {type(c) for c in results} == {ClipFailure}
    assert {c.reason for c in results} == {"truncated"}


def test_the_same_bytes_each_time_and_an_index_in_front(tmp_path: Path) -> None:
    media = source_of("b-frames", sound_s=4.0)
    for mode in ("transcode", "smart", "copy"):
        (one,) = cut(media, [(0.5, 3.0)], tmp_path, mode)
        data = b"".join(one.chunks())
        (again,) = cut(media, [(0.5, 3.0)], tmp_path, mode)
        assert data == b"".join(again.chunks())
        assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_what_lies_in_memory_changes_no_byte(tmp_path: Path) -> None:
    data = made(scenes([60, 70], pan_px=1))  # x264's AVX-512 made other bytes of these each time
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(4):
        results = cut(Media(size=len(data), data=data), [(0.0, 1.9), (2.9, 5.2)], tmp_path, "transcode")
        found.add(tuple(hashlib.sha256(b"".join(clip.chunks())).hexdigest() for clip in results))
        del [rng.bytes(1 << size) for size in range(6, 20)][:]
    assert len(found) == 1


@pytest.mark.parametrize("mode", ["transcode", "copy"])
def test_a_full_disk_ends_the_pass(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resource import RLIMIT_FSIZE, getrlimit, setrlimit

    noise = np.random.default_rng(0).integers(0, 256, (40, 96, 160, 3), np.uint8)
    data = made(list(noise))
    monkeypatch.setattr(draft, "MOST_IN_MEMORY", 50_000)
    soft, hard = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match="no space left") as caught:
            cut(Media(size=len(data), data=data), [(None, None)], tmp_path, mode)
    finally:
        setrlimit(RLIMIT_FSIZE, (soft, hard))
    assert caught.value.where.startswith(str(tmp_path))
    assert caught.value.fix


def test_spans_next_to_each_other_lose_no_frame(tmp_path: Path) -> None:
    bounds = [0.0, 0.37, 1.3, 1.31, 2.9, 4.0]
    clips = cut(source_of("b-frames"), list(pairwise(bounds)), tmp_path, "smart")
    numbers = [n for clip in clips if isinstance(clip, ClipFile) for n in shown(clip, tmp_path)[0]]
    assert numbers == list(range(COUNT))
