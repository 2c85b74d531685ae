"""Frames of a clip as pictures: which ones operators of images are given, and what becomes of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from pydantic import Field as Setting

from sluice.errors import Declined, PlanError
from sluice.operator.spec import Field, Output
from sluice.sample import Media

if TYPE_CHECKING:
    from sluice.codec.video import Frame

Reduce = Literal["mean", "min", "max", "median", "any", "all"]
"""How the values of a clip's frames become one value of the clip."""

_REDUCES: dict[str, tuple[Reduce, ...]] = {
    "number": ("mean", "min", "max", "median"),
    "bool": ("mean", "any", "all"),
    "vector": ("mean",),
}


@dataclass(frozen=True, slots=True)
class Frames:
    """Which frames of a clip are looked at: exactly one of the three is given.

    `fps`: so many a second from the clip's start on; for each such time the first frame that is not earlier, if there
    is one, a frame once. `frames`: that many, at times spread evenly from the clip's start to its end, both included
    (of one, its middle); for each the first frame that is not earlier, past the last the last. `keyframes`: the clip's
    key frames; where it has none, its first frame.

    Also marks a need: `image_aesthetics: Annotated[list[float | None], Frames(fps=1)]` is given that measure's (or
    feature's) values of these frames, None where a frame has none. The operator then has these three as settings.
    """

    fps: float | None = None
    frames: int | None = None
    keyframes: bool = False

    def __post_init__(self) -> None:
        if self.fps is not None:
            if not _is_number(self.fps) or not 0 < self.fps < float("inf"):
                raise PlanError(f"`fps: {self.fps}` is no number of frames a second", fix="write fps: 2")
            object.__setattr__(self, "fps", float(self.fps))  # 2 and 2.0 ask for the same
        if self.frames is not None and (not isinstance(self.frames, int) or self.frames < 1):
            raise PlanError(f"`frames: {self.frames}` is no number of frames", fix="write frames: 8")
        if (self.fps is not None) + (self.frames is not None) + (self.keyframes is True) != 1:
            what = "which frames of a clip are meant is not said, or said twice"
            raise PlanError(what, fix="give one of fps: 2, frames: 8 and keyframes: true")

    @property
    def asked(self) -> dict[str, Any]:
        """The one setting that says it, as a recipe writes it."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def taken_from(cls, settings: dict[str, Any], default: Frames | None = None) -> Frames:
        """The frames that settings ask for, which are taken out of them; the default where they say nothing."""
        names = cls.__dataclass_fields__
        given = {name: settings.pop(name) for name in names if name in settings}
        given = {name: value for name, value in given.items() if value is not None and value is not False}
        return cls(**given) if given or default is None else default

    def of(self, media: Media) -> Iterator[Frame]:
        """The frames, one after another, reached by seeking. Raises as `codec.video.decode` does."""
        from sluice.codec.video import frames_along, keyframes

        if self.keyframes:
            yield from keyframes(media)
            return
        last, times = None, self._times(media)
        for time_s, frame in zip(times, frames_along(media, times), strict=False):
            is_new = last is None or (frame.pts != last and frame.time_s >= time_s - _SAME_S)
            if self.frames is not None or is_new:
                yield frame
            last = frame.pts

    def _times(self, media: Media) -> list[float]:
        from sluice.codec.video import uniform_times

        start = media.start_s or 0.0
        length = _length_s(media)
        end = length if media.end_s is None else min(media.end_s, length)
        if self.frames is not None:
            return uniform_times(start, max(start, end), self.frames)
        assert self.fps is not None
        count = max(1, int(np.ceil((end - start) * self.fps - 1e-9)))
        return [start + k / self.fps for k in range(count)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SAME_S = 1e-6

FRAME_SETTINGS: dict[str, Any] = {
    "fps": (float | None, Setting(None, gt=0, description="look at so many frames a second")),
    "frames": (
        int | None,
        Setting(
            None, ge=1, description="look at so many frames, spread evenly over the clip, both ends included"
        ),
    ),
    "keyframes": (bool, Setting(False, description="look at the clip's key frames")),
}
"""The settings by which an operator with a need that is marked by `Frames` is told which; one at most."""


def _length_s(media: Media) -> float:
    """Seconds of the whole source."""
    whole = changed(media, start_s=None, end_s=None, crop=None)
    return _probed_s(whole) if whole.uri else _probed_s.__wrapped__(whole)


@lru_cache(maxsize=64)
def _probed_s(whole: Media) -> float:
    from sluice.codec.video import probe

    return probe(whole).duration_s


def reduces_of(outputs: Sequence[Output]) -> tuple[Reduce, ...]:
    """What all these columns can be reduced by."""
    allowed = [_REDUCES.get(output.kind, ()) for output in outputs]
    return tuple(how for how in get_args(Reduce) if allowed and all(how in each for each in allowed))


def reduced_output(output: Output, reduce: Reduce) -> Output:
    """The column of a clip that a column of images becomes. Raises PlanError where it cannot be reduced so."""
    allowed = _REDUCES.get(output.kind, ())
    if reduce not in allowed:
        what = f"`reduce: {reduce}` means nothing for {output.name!r}, which holds {_PLURAL[output.kind]}"
        fix = f"reduce: {' or '.join(allowed)}" if allowed else "leave `over` out: nothing reduces these"
        raise PlanError(what, fix=fix)
    field = output.field
    if output.kind == "number" and reduce in ("mean", "median"):
        return Output(output.name, "number", float, field)
    if output.kind == "bool" and reduce == "mean":
        share = Field(unit="share of frames", ge=0, le=1, higher_is=f"more of them {field.true_means}")
        return Output(output.name, "number", float, share)
    return output


_PLURAL = {
    "number": "numbers",
    "bool": "true and false",
    "vector": "vectors",
    "text": "texts",
    "bits": "hashes",
    "binary": "bytes",
}


def check_reduce(reduce: Any) -> Reduce:
    """The word, once it was found to be one. Raises PlanError."""
    if reduce not in get_args(Reduce):
        raise PlanError(f"there is no `reduce: {reduce}`", fix=f"one of: {', '.join(get_args(Reduce))}")
    found: Reduce = reduce
    return found


def reduced(values: Sequence[Any], reduce: Reduce = "mean") -> Any:
    """One value of the values of a clip's frames; None among them are left out.

    `mean`, `min`, `max` and `median` of numbers; the `mean` of true and false is the share of true; that of vectors is
    the mean's direction (its length is 1); `any` and `all` of true and false. Raises Declined where there is no value.
    """
    known = [value for value in values if value is not None]
    if not known:
        raise Declined("no value", "no frame has one")
    if isinstance(known[0], np.ndarray):
        return _direction(known)
    if reduce == "mean":
        return float(np.mean(known))
    if reduce == "median":
        return float(np.median(known))
    return _EXTREMES[reduce](known)


_EXTREMES: dict[str, Callable[[Sequence[Any]], Any]] = {"min": min, "max": max, "any": any, "all": all}


def _direction(vectors: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    mean = np.asarray(vectors, np.float64).mean(axis=0)
    length = float(np.sqrt(np.square(mean).sum()))
    if length < 1e-6:
        raise Declined("no direction", "the frames' vectors cancel out")
    return np.asarray(mean / length, np.float32)


def reduced_parts(values: Sequence[Any], reduce: Reduce, parts: int) -> Any:
    """As `reduced`, of an operator of several values a frame: each by itself, Declined in place of those without."""
    if parts == 1:
        return reduced(values, reduce)
    known = [value for value in values if value is not None]
    if not known:
        raise Declined("no value", "no frame has one")
    return tuple(_part([value[k] for value in known], reduce) for k in range(parts))


def _part(values: Sequence[Any], reduce: Reduce) -> Any:
    try:
        return reduced(values, reduce)
    except Declined as declined:
        return declined
