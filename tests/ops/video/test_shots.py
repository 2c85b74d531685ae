"""Shots are found where they end: cuts to the frame, dissolves and fades as a whole, and nothing where none ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pytest

from made_videos import Pixels, made, scenes
from sluice.operator import registry, tracks
from sluice.operator.splitting import Splitter
from sluice.ops.video.shots import content_transitions
from sluice.ops.video.transition import Transition
from sluice.sample import Item, Media, Sample

LENGTH = 60


@pytest.fixture(autouse=True)
def _no_store() -> Iterator[None]:
    tracks.use(None)
    yield
    tracks.use(None)


def found_in(pictures: Sequence[Pixels], **making: object) -> list[Transition]:
    data = made(pictures, **making)  # type: ignore[arg-type]
    return content_transitions(
        tracks.span(registry().bind("video_content"), Media(size=len(data), data=data))
    )


def still(seed: int, length: int = LENGTH) -> list[Pixels]:
    return list(scenes([length], seed=seed))


def moving(seed: int, length: int = LENGTH, step_px: float = 0.25) -> list[Pixels]:
    """A camera that goes over a wide picture."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 256, (6, 20, 3), np.uint8)
    wide = np.asarray(cv2.resize(rough, (160 + 400, 96), interpolation=cv2.INTER_CUBIC), np.uint8)
    shifts = (np.float64([[1, 0, -n * step_px], [0, 1, 0]]) for n in range(length))
    return [np.asarray(cv2.warpAffine(wide, shift, (160, 96)), np.uint8) for shift in shifts]


def mixed(a: Pixels, b: Pixels, share: float) -> Pixels:
    return np.asarray(cv2.addWeighted(a, 1 - share, b, share, 0), np.uint8)


def dissolved(a: list[Pixels], b: list[Pixels], length: int) -> list[Pixels]:
    """From a to b, both going on meanwhile."""
    pairs = zip(a[-length:], b[:length], strict=True)
    between = [mixed(p, q, (n + 1) / (length + 1)) for n, (p, q) in enumerate(pairs)]
    return [*a[:-length], *between, *b[length:]]


def faded(a: list[Pixels], b: list[Pixels], length: int, black: int) -> list[Pixels]:
    """From a to black in `length` pictures, so many of black, and from it to b."""
    dark = np.zeros_like(a[0])
    out = [mixed(p, dark, (n + 1) / (length + 1)) for n, p in enumerate(a[-length:])]
    into = [mixed(dark, p, (n + 1) / (length + 1)) for n, p in enumerate(b[:length])]
    return [*a[:-length], *out, *[dark] * black, *into, *b[length:]]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_cuts_between_moving_pictures_are_found_at_their_frame(codec: str) -> None:
    pictures = [p for seed in range(5) for p in moving(seed, 40, 1)]
    found = found_in(pictures, codec=codec, options={"g": "250"})
    assert [(t.kind, t.start_s, t.end_s) for t in found] == [
        ("cut", pytest.approx(n * 1.6), pytest.approx(n * 1.6)) for n in range(1, 5)
    ]


def test_cuts_of_a_varying_frame_rate_are_found_at_their_frame() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum([0, *rng.choice([8, 17, 33, 40, 67, 125, 200], 199)]).tolist()
    found = found_in([p for seed in range(5) for p in moving(seed, 40)], times=times)
    assert [t.start_s for t in found] == [
        pytest.approx(times[n] / 1000, abs=1e-6) for n in range(40, 200, 40)
    ]


@pytest.mark.parametrize("length", [6, 12, 25, 50])
@pytest.mark.parametrize("shot", [still, moving])
def test_a_dissolve_is_one_transition_about_as_long(shot: object, length: int) -> None:
    make = still if shot is still else moving
    (found,) = found_in(dissolved(make(1, 60 + length), make(2, 60 + length), length))
    assert found.kind == "gradual"
    assert found.score >= 0.78
    middle = (60 + length / 2) / 25
    assert found.start_s < middle < found.end_s
    assert (found.start_s + found.end_s) / 2 == pytest.approx(middle, abs=max(0.12, length / 150))
    assert 0.35 * length / 25 <= found.end_s - found.start_s <= 1.5 * length / 25 + 0.12


@pytest.mark.parametrize(("length", "black"), [(5, 1), (12, 10), (25, 0)])
def test_a_fade_through_black_is_one_transition(length: int, black: int) -> None:
    (found,) = found_in(faded(moving(1, 80), moving(2, 80), length, black))
    start = (80 - length) / 25
    assert (found.kind, found.score) == ("gradual", 1.0)
    assert found.start_s == pytest.approx(start, abs=0.12)
    assert found.end_s == pytest.approx(start + (2 * length + black) / 25, abs=0.12)


def test_long_black_stands_between_two_fades() -> None:
    found = found_in(faded(still(1), still(2), 12, 50))
    assert [t.kind for t in found] == ["gradual", "gradual"]
    assert found[1].start_s - found[0].end_s == pytest.approx(2.0, abs=0.12)


def _flashes() -> list[Pixels]:
    pictures = moving(3, 120, 0.1)
    white = np.full_like(pictures[0], 255)
    for start, length, share in ((20, 1, 1.0), (50, 2, 0.8), (80, 3, 0.9)):
        pictures[start : start + length] = [mixed(p, white, share) for p in pictures[start : start + length]]
    return pictures


def _dimmed() -> list[Pixels]:
    light = 0.6 + 0.4 * np.cos(np.linspace(0, 4 * np.pi, 160))
    return [mixed(p, np.zeros_like(p), 1 - a) for p, a in zip(still(4, 160), light, strict=True)]


def _shaken() -> list[Pixels]:
    pictures, rng = moving(5, 120), np.random.default_rng(1)
    return [np.roll(p, rng.integers(-6, 7, 2), (0, 1)) for p in pictures]


@pytest.mark.parametrize(
    "pictures",
    [_flashes(), _dimmed(), _shaken(), moving(6, 100, 1), moving(6, 100, 4), moving(6, 40, 10), still(7)],
    ids=["flashes", "dimmed light", "shaken", "slow pan", "pan", "fast pan", "still"],
)
def test_nothing_is_found_where_no_shot_ends(pictures: list[Pixels]) -> None:
    assert found_in(pictures) == []


def test_clips_leave_a_dissolve_out_and_say_so() -> None:
    data = made(dissolved(still(1, 120), still(2, 120), 20))
    video = Item("video", "video/mp4", "mp4", media=Media(size=len(data), data=data))
    first, second = Splitter(registry().bind("video_split_shots"))(Sample("v", "v", (video,))).children
    assert (first.fields["clip_end_kind"], second.fields["clip_start_kind"]) == ("gradual", "gradual")
    assert first.fields["clip_end_score"] == second.fields["clip_start_score"] > 0.9
    assert first.fields["clip_end_s"] <= 100 / 25 - 0.5 + 0.12
    assert second.fields["clip_start_s"] >= 120 / 25 + 0.5 - 0.12


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_video_of_few_frames_has_a_row_for_each(count: int) -> None:
    data = made(moving(1, count))
    span = tracks.span(registry().bind("video_content"), Media(size=len(data), data=data))
    assert len(span) == count
    assert np.isnan(span["difference"][0])
    assert content_transitions(span) == []
