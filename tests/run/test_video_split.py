"""Videos become clips: cuts to the frame, lengths in their order, one decode kept for all that follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeys import balanced, digests

from made_videos import made, scenes
from sluice.codec.video import decode
from sluice.errors import UnreadableError
from sluice.operator import Span, registry, tracks
from sluice.operator.splitting import Family, Splitter
from sluice.ops.video.clips import Lengths, fitted, shots_between
from sluice.ops.video.shots import content_transitions
from sluice.ops.video.transition import Transition
from sluice.recipe.load import load
from sluice.run import run
from sluice.sample import Item, Media, Sample

SHOTS = "video_split_shots"


@pytest.fixture(autouse=True)
def _no_store() -> Iterator[None]:
    tracks.use(None)
    yield
    tracks.use(None)


def sample_of(data: bytes, key: str = "v") -> Sample:
    return Sample(key, key, (Item("video", "video/mp4", "mp4", media=Media(size=len(data), data=data)),))


def content_of(data: bytes) -> Span:
    return tracks.span(registry().bind(SHOTS).bindings["video_content"], Media(size=len(data), data=data))


def split(data: bytes, **settings: Any) -> Family:
    return Splitter(registry().bind(SHOTS, settings))(sample_of(data))


def spans(family: Family) -> list[tuple[float, float]]:
    return [(round(c.fields["clip_start_s"], 6), round(c.fields["clip_end_s"], 6)) for c in family.children]


def test_every_hard_cut_is_found_at_its_frame() -> None:
    lengths = [40, 25, 60, 13, 50]
    found = content_transitions(content_of(made(scenes(lengths))))
    assert [b.start_s for b in found] == pytest.approx([n / 25 for n in np.cumsum(lengths)[:-1]], abs=1e-6)
    assert {b.kind for b in found} == {"cut"}


def test_cuts_of_a_variable_frame_rate_stand_where_they_are_shown() -> None:
    times = [*range(0, 4000, 40), *range(4000, 10_000, 200)]  # 25 a second for 4 s, then 5 a second
    found = content_transitions(content_of(made(scenes([100, 30]), times=times)))
    assert [b.start_s for b in found] == pytest.approx([4.0], abs=1e-6)


def test_flashes_pans_and_fades_of_light_are_no_cuts() -> None:
    rng = np.random.default_rng(3)
    wide = np.kron(rng.integers(0, 256, (12, 60, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    pan = [wide[:, 2 * i : 2 * i + 160] for i in range(60)]
    flash = [np.full_like(pan[0], 255) if i == 30 else pan[20] for i in range(60)]
    darker = [(pan[20] * (1 - i / 80)).astype(np.uint8) for i in range(60)]
    for pictures in (pan, flash, darker):
        assert content_transitions(content_of(made(pictures))) == []


def test_trim_then_longest_then_shortest() -> None:
    family = split(made(scenes([100, 30, 250])), max_length_s=4.0, min_frames=0)
    assert spans(family) == [(0.0, 3.52), (5.72, 9.72), (9.72, 13.72)]
    # the tail of 1.5 s, and the shot of 0.2 s that trimming left, are too short
    kinds = [(c.fields["clip_start_kind"], c.fields["clip_end_kind"]) for c in family.children]
    assert kinds == [("start", "cut"), ("cut", "stride"), ("stride", "stride")]
    truncated = split(made(scenes([100, 30, 250])), max_length_s=4.0, max_mode="truncate", min_frames=0)
    assert spans(truncated) == [(0.0, 3.52), (5.72, 9.72)]


def test_a_video_without_cuts_is_one_clip_and_a_short_one_none() -> None:
    (child,) = split(made(scenes([60]))).children
    assert (child.fields["clip_start_s"], child.fields["clip_end_s"]) == (0.0, pytest.approx(2.4))
    assert (child.fields["clip_frames"], child.fields["clip_start_kind"]) == (60, "start")
    short = split(made(scenes([40])))
    assert short.note is not None
    assert (short.children, short.note.kind, short.note.reason) == ((), "declined", "no clips")


def test_a_clip_is_a_view_and_its_name_that_of_its_content(tmp_path: Path) -> None:
    data = made(scenes([70, 70]))
    names = []
    for place in (tmp_path / "a.mp4", tmp_path / "moved" / "b.mp4"):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
        media = Media(str(place), 0, len(data))
        sample = Sample(place.stem, place.stem, (Item("video", "video/mp4", "mp4", media=media),))
        children = Splitter(registry().bind(SHOTS))(sample).children
        names.append([c.id for c in children])
        frames = list(decode(children[1].items[0].media))
        assert [frames[0].time_s, frames[-1].time_s] == pytest.approx([3.32, 5.56])
        assert [frames[0].pts, frames[-1].pts] == [
            children[1].fields["clip_first_pts"],
            children[1].fields["clip_last_pts"],
        ]
    assert names[0] == names[1]
    assert len(set(names[0])) == 2


def test_a_broken_video_fails_and_a_picture_is_declined() -> None:
    data = made(scenes([70, 70]))
    broken = split(data[: len(data) // 2])
    assert broken.note is not None
    assert broken.note.kind == "unreadable"
    none = Splitter(registry().bind(SHOTS))(Sample("t", "t", (Item("text", "text/plain", "txt", "words"),)))
    assert none.note is not None
    assert none.note.reason == "no video"


def test_stride_decodes_nothing() -> None:
    data = made(scenes([300]), fps=10)
    before = tracks.decoded().frames
    family = Splitter(registry().bind("video_split_stride", {"length_s": 14.0}))(sample_of(data))
    assert spans(family) == [(0.0, 14.0), (14.0, 28.0), (28.0, 30.0)]
    assert tracks.decoded().frames == before


def _cut(time_s: float) -> Transition:
    return Transition("cut", time_s, time_s, 1.0)


@given(
    st.lists(st.floats(0.1, 30.0), max_size=12),
    st.floats(0.5, 20.0),
    st.floats(0.0, 3.0),
    st.floats(0.0, 1.0),
    st.sampled_from(["stride", "truncate"]),
)
def test_clips_lie_apart_within_their_lengths(
    gaps: list[float], longest: float, shortest: float, trim: float, mode: Any
) -> None:
    ends = np.cumsum([1.0, *gaps])
    times = np.arange(0, float(ends[-1]) + 1, 0.04)
    cuts = [_cut(float(times[np.searchsorted(times, e)])) for e in ends[:-1]]
    end = float(times[-1]) + 0.04
    clips, left_out = fitted(shots_between(cuts, end), times, Lengths(shortest, 0, longest, mode, trim))
    assert left_out >= 0
    previous = 0.0
    for clip in clips:
        assert previous <= clip.start.time_s + 1e-9
        length = clip.end.time_s - clip.start.time_s
        assert length >= shortest - 1e-6
        assert length <= longest + 0.04 + 1e-6
        assert not any(clip.start.time_s + 1e-6 < c.start_s < clip.end.time_s - 1e-6 for c in cuts)
        previous = clip.end.time_s


def test_tracks_are_decoded_once_and_kept_by_content(tmp_path: Path) -> None:
    data = made(scenes([70, 70], pan_px=1))
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.mp4").write_bytes(data)
    (source / "broken.mp4").write_bytes(data[:3000])
    options: dict[str, Any] = {"workers": 0, "quiet": True, "store": str(tmp_path / "store")}

    def go(output: str, *settings: str) -> dict[str, Any]:
        recipe = load("video-split", ["max_failed=60%", *settings], source=str(source))
        return run(recipe, output=str(tmp_path / output), **options)

    before = tracks.decoded().frames
    first = go("one")
    assert balanced(first)
    assert first["kept"] == 2
    assert tracks.decoded().frames - before == 140, "all tracks of a source come of one decode"
    go("two", "steps.0.split.video_split_shots.trim_s=0.2")
    (source / "a.mp4").rename(source / "moved.mp4")
    go("three")
    assert tracks.decoded().frames - before == 140, "splitting otherwise, or elsewhere, decodes nothing"
    clips = pq.read_table(tmp_path / "one" / "clips.parquet")
    assert clips.column("frame_count").to_pylist() == [58, 57]
    ids = set(clips.column("id").to_pylist())
    assert ids == set(pq.read_table(tmp_path / "three" / "clips.parquet").column("id").to_pylist())


def test_workers_and_a_second_run_make_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for n in range(3):
        (source / f"{n}.mp4").write_bytes(made(scenes([60 + n, 70], seed=n, pan_px=1)))
    recipe = load("video-split", [], source=str(source))
    for name, workers in (("a", 0), ("b", 2)):
        run(recipe, output=str(tmp_path / name / "out"), workers=workers, quiet=True)
    assert digests(tmp_path / "a" / "out") == digests(tmp_path / "b" / "out")
    before = digests(tmp_path / "a" / "out")
    run(recipe, output=str(tmp_path / "a" / "out"), workers=0, quiet=True)
    assert digests(tmp_path / "a" / "out") == before


def test_a_track_that_raises_is_its_own_failure() -> None:
    with pytest.raises(UnreadableError):
        content_of(b"not a video at all")
