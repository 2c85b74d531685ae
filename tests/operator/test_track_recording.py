"""What a track raises: its own trouble keeps its kind, an outage is no video's doing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest

from made_videos import made, scenes
from sluice.errors import (
    Declined,
    LimitError,
    NoAnswerError,
    OperatorError,
    SampleError,
    UnavailableError,
    UnreadableError,
)
from sluice.operator import Field, Registry, track, tracks
from sluice.operator.instance import Instance
from sluice.sample import Media

RAISED: list[Exception] = []


@track(version=1, sees="frames")
class video_troubled:  # noqa: N801 - an operator's name is its class's
    """Raises what the test asks for at the first frame."""

    def start(self, info: Any) -> None:
        """Nothing is known of a source."""

    def __call__(self, frame: Any) -> Annotated[int, Field(unit="frames")]:
        raise RAISED[-1]


@pytest.fixture(autouse=True)
def _no_store() -> Iterator[None]:
    tracks.use(None)
    yield
    tracks.use(None)


def bound() -> Instance:
    return Registry([video_troubled.spec]).bind("video_troubled")  # type: ignore[attr-defined]


def trouble(raised: Exception) -> Exception:
    data = made(scenes([4]))
    RAISED.append(raised)
    with pytest.raises(type(raised) if isinstance(raised, SampleError) else Exception) as caught:
        tracks.span(bound(), Media(size=len(data), data=data))
    return caught.value


@pytest.mark.parametrize(
    "raised",
    [
        Declined("no shots"),
        NoAnswerError("timed out"),
        OperatorError("too large"),
        UnreadableError("torn"),
        LimitError("too many frames"),
        MemoryError("full"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_sample_s_trouble_is_the_track_s_own(raised: Exception) -> None:
    assert trouble(raised) is raised


def test_any_other_exception_is_an_operator_s_failure() -> None:
    found = trouble(ValueError("not a number"))
    assert isinstance(found, OperatorError)
    assert (found.reason, found.what) == ("video_troubled: ValueError", "not a number")


def test_an_outage_ends_the_run_and_is_not_remembered_of_the_video() -> None:
    outage = UnavailableError("the endpoint does not answer")
    assert trouble(outage) is outage
    again = UnavailableError("still not")
    assert trouble(again) is again
