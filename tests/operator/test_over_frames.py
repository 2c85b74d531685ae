"""Operators on images over frames of videos: the same functions, given each frame as a picture."""

from __future__ import annotations

import io
import pickle
import weakref
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import stand_ins
from made_videos import made, number_of, numbered, scenes
from sluice.codec.video import frames_at, keyframes
from sluice.errors import Declined, PlanError
from sluice.operator import Field, Instance, Program, Registry, Spec, feature, measure, registry
from sluice.operator.check import check, check_spawned, check_together
from sluice.operator.frames import Frames, check_reduce, reduced, reduced_parts, reduces_of
from sluice.operator.over_frames import TOGETHER
from sluice.ops.image.pixels import Rgb
from sluice.sample import Item, Media, Sample

PIXEL_MEASURES = [
    spec
    for spec in registry()
    if spec.kind == "measure"
    and spec.scope == "image"
    and reduces_of(spec.outputs)
    and spec.name not in stand_ins.REQUIRED
    and registry().cost(spec) in ("decode", "model")
]
SEEN: list[int] = []


@feature(scope="image", version=1, cost="decode")
def frame_number(rgb: Rgb) -> int:
    """The number that a picture of `made_videos.numbered` carries."""
    SEEN.append(number_of(rgb[:, :, 1]))
    return SEEN[-1]


@measure(version=1, cost="decode")
def image_number(frame_number: int) -> Annotated[int, Field(unit="frames", ge=0)]:
    """The number of the picture; declined for multiples of ten, and it breaks on 77."""
    if frame_number == 77:
        raise ValueError("77 is no good")
    if frame_number % 10 == 0:
        raise Declined("a tenth")
    return frame_number


@measure(version=1, cost="decode")
def image_is_late(frame_number: int) -> Annotated[bool, Field(true_means="30 or later")]:
    """Whether the picture's number is 30 or more."""
    return frame_number >= 30


@measure(version=1, cost="decode")
def image_numbers_together(frame_number: list[int]) -> list[Annotated[int, Field(unit="frames", ge=0)]]:
    """The number, given for a whole batch."""
    return frame_number


KNOWN = Registry([*registry(), *registry().features()])
for declared in (frame_number, image_number, image_is_late, image_numbers_together):
    KNOWN.add(declared.spec)  # type: ignore[attr-defined]


def video(data: bytes | None, key: str = "v", **view: float) -> Sample:
    media = None if data is None else Media(data=data, size=len(data), **view)  # type: ignore[arg-type]
    text = Item("text", name="txt", text="bars")
    return Sample(id=key, key=key, items=(text, Item("video", "video/mp4", "mp4", media=media)))


@cache
def clip(count: int = 60, first: int = 1) -> bytes:
    return made(numbered(count, first=first), fps=20)


def over(name: str, alias: str = "", **settings: Any) -> Instance:
    return KNOWN.bind(name, settings, alias=alias or f"of_{name}", over="frames")


def numbers(frames: Frames, media: Media) -> list[int]:
    return [number_of(frame.luma) for frame in frames.of(media)]


def test_which_frames_are_meant() -> None:
    whole = Media(data=clip(), size=len(clip()))  # numbers 1 to 60, 20 a second
    assert numbers(Frames(fps=2), whole) == [1, 11, 21, 31, 41, 51]
    assert numbers(Frames(fps=1000 / 999), whole) == [1, 21, 41]
    assert numbers(Frames(frames=1), whole) == [31]
    assert numbers(Frames(frames=3), whole) == [1, 31, 60]
    part = Media(data=clip(), size=len(clip()), start_s=0.5, end_s=1.0)  # 11 to 20
    assert numbers(Frames(fps=4), part) == [11, 16]
    assert numbers(Frames(frames=3), part) == [11, 16, 20]
    assert len(numbers(Frames(frames=25), part)) == 25, "so many, though a frame comes twice"
    assert numbers(Frames(fps=100), part) == list(range(11, 21)), "a frame comes once"
    beyond = Media(data=clip(), size=len(clip()), start_s=2.0, end_s=99.0)
    assert numbers(Frames(frames=2), beyond) == [41, 60]
    assert numbers(Frames(keyframes=True), whole) == [number_of(f.luma) for f in keyframes(whole)]
    assert 5 <= len(numbers(Frames(keyframes=True), whole)) < 10


def test_frames_of_a_variable_rate_are_found_by_their_times() -> None:
    times = [0, 40, 900, 1000, 1040, 2500]
    data = made(numbered(6), times=times, time_base=Fraction(1, 1000))
    assert numbers(Frames(fps=1), Media(data=data, size=len(data))) == [0, 3, 5]


@pytest.mark.parametrize(
    "given", [{}, {"fps": 2, "frames": 3}, {"fps": -1}, {"frames": 0}, {"fps": 1, "keyframes": True}]
)
def test_which_frames_must_be_said_once(given: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        Frames(**given)
    with pytest.raises(PlanError):
        over("image_sharpness", **given)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


@pytest.mark.parametrize("spec", PIXEL_MEASURES, ids=lambda spec: spec.name)
def test_a_frame_is_measured_as_the_picture_that_it_shows(spec: Spec, folder: Path) -> None:
    data = made(scenes([4, 4, 4], 320, 192), fps=10)
    media = Media(data=data, size=len(data), crop=(10, 10, 280, 160))
    times = [0.0, 0.6, 1.1]
    pictures = [Item("image", media=Media(data=_png(f.rgb()))) for f in frames_at(media, times)]
    item = stand_ins.bind(spec.name, folder)
    alone = Program([item])([Sample("s", "s", (picture,)) for picture in pictures])
    for how in reduces_of(spec.outputs):
        whole = stand_ins.bind(spec.name, folder, over="frames", frames=3, reduce=how)
        found = Program([whole])([Sample("s", "s", (Item("video", media=media),))])
        for ours, theirs in zip(whole.made, item.made, strict=True):
            values = [alone.columns[theirs][k][0] for k in range(3)]
            wanted = reduced(values, how) if any(v is not None for v in values) else None
            got = found.columns[ours][0][0]
            assert np.array_equal(got, wanted), (ours, how)
            assert type(got) is type(wanted), (ours, how)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def test_values_are_reduced_and_nulls_left_out() -> None:
    named = [
        *(over("image_number", alias=how, fps=20, reduce=how) for how in ("mean", "min", "max", "median")),
        *(over("image_is_late", alias=f"late_{how}", fps=20, reduce=how) for how in ("mean", "any", "all")),
    ]
    SEEN.clear()
    found = Program(named)([video(clip(20, 15)), video(clip(4, 30), "w")])  # 15 to 34; 30 to 33
    kept = [n for n in range(15, 35) if n % 10]
    assert {name: [v[0] for v in values] for name, values in found.columns.items()} == {
        "mean": [float(np.mean(kept)), 32.0],
        "min": [15, 31],
        "max": [34, 33],
        "median": [float(np.median(kept)), 32.0],
        "late_mean": [0.25, 1.0],
        "late_any": [True, True],
        "late_all": [False, True],
    }
    assert found.notes == [[], []]
    assert [*range(15, 35), *range(30, 34)] == SEEN, "each frame is decoded and read once, for all"
    kinds = {o.name: (o.python, o.field.unit) for each in named for o in each.outputs}
    assert kinds["mean"] == (float, "frames")
    assert kinds["max"] == (int, "frames")
    assert kinds["late_mean"] == (float, "share of frames")
    assert kinds["late_any"] == (bool, "")
    assert all((i.modality, i.level, i.cost) == ("video", "item", "decode") for i in named)


def test_a_clip_without_a_value_has_one_reason() -> None:
    samples = [
        video(clip(1, 20), "declines"),
        video(clip(60)[: len(clip(60)) * 2 // 3], "truncated"),
        video(clip(10, 71), "breaks"),
        video(None, "without media"),
        Sample("none", "none", ()),
        video(clip(3, 1), "good"),
        video(b"not a video", "nonsense"),
    ]
    named = [over("image_number", fps=20), over("image_number", alias="least", fps=20, reduce="min")]
    found = Program(named)(samples)
    assert found.columns["of_image_number"] == [[None], [None], [None], [None], [], [2.0], [None]]
    assert found.columns["least"] == [[None], [None], [None], [None], [], [1], [None]]
    told = {
        s.key: [(n.kind, n.operator, n.item) for n in notes]
        for s, notes in zip(samples, found.notes, strict=True)
    }
    assert told == {
        "declines": [("declined", "image_number", 1)],
        "truncated": [("unreadable", "picture", 1)],
        "breaks": [("error", "image_number", 1)],
        "without media": [("unreadable", "read", 1)],
        "none": [],
        "good": [],
        "nonsense": [("unreadable", "picture", 1)],
    }  # fmt: skip
    assert found.notes[2][0].reason == "image_number: ValueError"


def test_values_do_not_depend_on_neighbours_or_company() -> None:
    samples = [video(clip(30, k), str(k)) for k in (1, 100, 200)]
    named = [
        over("image_numbers_together", fps=20, reduce="max"),
        over("image_sharpness", frames=4),
        over("image_descriptor", keyframes=True),
    ]
    together = Program(named)(samples)
    assert together.columns["of_image_numbers_together"] == [[30], [129], [229]]
    for k, sample in enumerate(samples):
        for each in named:
            (alone,) = Program([each])([sample]).columns.values()
            assert np.array_equal(alone[0], together.columns[each.made[0]][k])


def test_frames_are_let_go_before_the_next_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    refs: list[weakref.ref[Any]] = []

    class Still:
        pts = 0

        def __init__(self, number: int) -> None:
            self.pixels = np.full((8, 8, 3), number, np.uint8)

        def rgb(self) -> NDArray[np.uint8]:
            refs.append(weakref.ref(self.pixels))
            return self.pixels

    def stills(self: Frames, media: Media) -> Iterator[Still]:
        for number in range(3 * TOGETHER):
            alive.append(sum(ref() is not None for ref in refs))
            yield Still(number)

    monkeypatch.setattr(Frames, "of", stills)
    named = [over("image_numbers_together", fps=1, reduce="max"), over("image_exposure", fps=1)]
    found = Program(named)([video(b"", "a"), video(b"", "b")])
    assert found.columns["of_image_exposure"][0] == found.columns["of_image_exposure"][1] != [None]
    assert len(alive) == 6 * TOGETHER
    assert max(alive) <= 2


def test_the_fingerprint_says_which_frames_and_how() -> None:
    base = over("image_sharpness", fps=2)
    others = [
        over("image_sharpness", fps=3),
        over("image_sharpness", frames=2),
        over("image_sharpness", keyframes=True),
        over("image_sharpness", fps=2, reduce="min"),
        over("image_descriptor", fps=2),
        KNOWN.bind("image_sharpness"),
    ]
    assert len({i.fingerprint for i in (base, *others)}) == 7
    assert len({i.asked for i in (base, *others)}) == 7
    assert over("image_sharpness", fps=2.0, reduce="mean").fingerprint == base.fingerprint
    parts = {i.fingerprint for i in base.closure()} & {i.fingerprint for i in others[3].closure()}
    assert len(parts) == 3, "one decode, one measure, reduced in two ways"
    arrived = pickle.loads(pickle.dumps(base))  # noqa: S301 - what was just pickled here
    assert arrived.fingerprint == base.fingerprint
    assert base.asked_over == {"over": "frames", "fps": 2, "reduce": "mean"}
    assert others[1].asked_over == {"over": "frames", "frames": 2, "reduce": "mean"}


@pytest.mark.parametrize(
    ("name", "settings", "message", "fix"),
    [
        ("image_sharpness", {"fps": 2, "alias": ""}, "needs a name", "as: video_sharpness"),
        ("image_sharpness", {}, "which frames", "fps: 2"),
        ("image_sharpness", {"fps": 2, "reduce": "most"}, "no `reduce: most`", "one of: mean"),
        ("image_sharpness", {"fps": 2, "reduce": "all"}, "holds numbers", "reduce: mean or min"),
        ("image_is_late", {"fps": 2, "reduce": "min"}, "true and false", "reduce: mean or any or all"),
        ("image_descriptor", {"fps": 2, "reduce": "max"}, "holds vectors", "reduce: mean"),
        ("image_phash", {"fps": 2}, "holds hashes", "leave `over` out"),
        ("image_width_px", {"fps": 2}, "header", "sluice ops video"),
        ("image_size_bytes", {"fps": 2}, "header", "sluice ops video"),
        ("text_word_count", {"fps": 2}, "for measures of image", "leave `over` out"),
        ("image_resize", {"fps": 2}, "is a mapper", "leave `over` out"),
        ("image_sharpness", {"fps": 2, "oops": 1}, "unknown setting", "settings"),
    ],
)  # fmt: skip
def test_what_frames_cannot_be_asked_for_is_refused(
    name: str, settings: dict[str, Any], message: str, fix: str
) -> None:
    alias = settings.get("alias", "x") or None
    given = {key: value for key, value in settings.items() if key != "alias"}
    with pytest.raises(PlanError, match=message) as caught:
        KNOWN.bind(name, given, alias=alias, over="frames")
    assert fix in caught.value.fix


def test_reducing_vectors_keeps_their_length() -> None:
    a, b = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    assert np.allclose(reduced([a, None, b]), np.sqrt(0.5))
    assert reduced([a, b]).dtype == np.float32
    for nothing in ([], [None], [a, -a]):
        with pytest.raises(Declined):
            reduced(nothing)
    assert reduced_parts([(1, None), None, (2, None)], "max", 2)[0] == 2
    assert isinstance(reduced_parts([(1, None)], "max", 2)[1], Declined)
    with pytest.raises(PlanError):
        check_reduce("sum")


@pytest.mark.parametrize("spec", PIXEL_MEASURES[::6], ids=lambda spec: spec.name)
def test_measures_over_frames_conform(spec: Spec, folder: Path) -> None:
    samples = [video(made(scenes([3, 3], 96, 64, seed), fps=5), str(seed)) for seed in range(3)]
    assert check(stand_ins.bind(spec.name, folder, over="frames", frames=2), samples) == []


def test_measures_over_frames_do_not_change_each_other(folder: Path) -> None:
    samples = [video(made(scenes([3, 3], 96, 64, seed), fps=5), str(seed)) for seed in range(3)]
    named = [stand_ins.bind(spec.name, folder, over="frames", frames=2) for spec in PIXEL_MEASURES[::6]]
    company = [registry().bind("image_sharpness"), over("image_exposure", fps=1), *named]
    assert check_together(company, samples) == []


def test_a_spawned_process_gives_the_same_values_over_frames() -> None:
    named = [over(name, frames=2) for name in ("image_sharpness", "image_descriptor", "image_exposure")]
    assert check_spawned(named, [video(made(scenes([3, 3], 96, 64), fps=5))]) == []
