"""What the display says, where it says it, and that it never gets in the way."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluice.run.progress import PLAIN_EVERY_S, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain(**options: Any) -> tuple[Progress, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return Progress(stream=stream, tty=False, clock=clock, **options), stream, clock


def test_a_pipe_gets_a_line_now_and_then() -> None:
    progress, stream, clock = plain(total=1000, label="measure")
    with progress:
        for _ in range(10):
            clock.now += 1.0
            progress.update(samples=50, bytes=5_000_000, failed=1, kept=40)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "measure: 250 of 1,000 samples · 50/s · 5.0 MB/s · 80% kept · 5 failed · 15 s left",
        "measure: 500 of 1,000 samples · 50/s · 5.0 MB/s · 80% kept · 10 failed · 10 s left",
        "measure: 500 of 1,000 samples · 50/s · 5.0 MB/s · 80% kept · 10 failed · 10 s left · took 10 s",
    ]


def test_nothing_known_says_nothing_wrong() -> None:
    progress, stream, _ = plain()
    with progress:
        pass
    assert stream.getvalue() == "0 samples · took 0.0 s\n"


def test_json_lines_are_documents() -> None:
    progress, stream, clock = plain(total=4, json=True)
    with progress:
        progress.say("hello")
        clock.now += PLAIN_EVERY_S
        progress.update(samples=2, bytes=10)
    message, middle, last = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert message == {"event": "message", "message": "hello"}
    assert (middle["samples"], middle["left_s"], middle["kept"], middle["done"]) == (2, 5.0, None, False)
    assert last["done"] is True


def test_a_run_that_ends_badly_is_not_called_done() -> None:
    progress, stream, _ = plain(json=True)
    try:
        with progress:
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert json.loads(stream.getvalue())["done"] is False


def test_quiet_counts_and_says_nothing() -> None:
    for tty in (True, False):
        stream, clock = io.StringIO(), Clock()
        with Progress(stream=stream, tty=tty, quiet=True, clock=clock) as progress:
            clock.now += 60
            progress.update(samples=3)
            progress.say("nobody hears this")
        assert (stream.getvalue(), progress.samples) == ("", 3)


def test_a_terminal_gets_a_bar() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(total=10, label="[measure]", stream=stream, tty=True, clock=clock) as progress:
        clock.now += 1
        progress.update(samples=10, bytes=2000, failed=1, kept=9)
        progress.say("a [word] on the way")
    shown = stream.getvalue()
    for part in ("[measure]", "10/10", "90% kept", "1 failed", "10/s", "2.0 kB/s", "a [word] on the way"):
        assert part in shown


def test_a_stream_that_is_no_terminal_is_asked() -> None:
    stream = io.StringIO()
    with Progress(stream=stream):
        pass
    assert "\x1b" not in stream.getvalue()


counts = st.integers(0, 10**12)


@given(counts, counts, counts, st.none() | counts, st.none() | counts, st.floats(0, 1e7))
def test_no_counts_break_the_line(
    samples: int, size: int, failed: int, kept: int | None, total: int | None, seconds: float
) -> None:
    progress, stream, clock = plain(total=total)
    with progress:
        clock.now += seconds
        progress.update(samples=samples, bytes=size, failed=failed, kept=kept)
        assert "\n" not in progress.line()
        assert progress.left_s is None or progress.left_s >= 0
    assert "took" in stream.getvalue()
