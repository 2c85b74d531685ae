"""The time of frames: presentation time, and what stands in for it where a container has none."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from sluice.codec.video.container import Source
from sluice.errors import UnreadableError

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame


class Clock:
    """Gives frames, in the order they come out of the decoder, their PTS.

    Where the container has no times of presentation (AVI), the n-th frame out takes the n-th time of decoding: there
    every frame has the same length, and PTS guessed from frames' order come out in disorder. A frame without any time
    follows the one before by that one's length. A frame that is not later than the one before is never shown; it gets
    None. Raises UnreadableError (`timestamps go back`) where times go back by more than the length of a frame.
    """

    def __init__(self, source: Source) -> None:
        stream = source.pictures()
        if stream.time_base is None or stream.time_base <= 0:
            raise UnreadableError("corrupt", "the container has no unit of time")
        self.time_base = stream.time_base
        rate = stream.average_rate or stream.guessed_rate
        self.usual_ticks = max(1, round(1 / rate / self.time_base)) if rate else 1
        self._by_order = source.has_decoding_times_only
        self._fed: deque[int] = deque()
        self.last: int | None = None
        self._last_ticks = self.usual_ticks

    def restart(self) -> None:
        """Forget what was fed: the decoder begins elsewhere."""
        self._fed.clear()
        self.last = None

    def fed(self, packet: Packet[Any]) -> None:
        """Note a packet that was given to the decoder."""
        if self._by_order and packet.dts is not None:
            self._fed.append(packet.dts)

    def pts(self, frame: VideoFrame) -> int | None:
        """The PTS of the next frame that came out, or None where it is never shown."""
        if self._by_order:
            pts = self._fed.popleft() if self._fed else None
        else:
            pts = frame.pts if frame.pts is not None else frame.dts
        last = self.last
        if pts is None:
            pts = 0 if last is None else last + self._last_ticks
        if last is not None and pts <= last:
            if last - pts > self.usual_ticks:
                raise UnreadableError("timestamps go back", f"from {last} to {pts}")
            return None
        self.last, self._last_ticks = pts, self.ticks(frame)
        return pts

    def ticks(self, frame: VideoFrame) -> int:
        """How long a frame is shown, as the container says; else as long as frames usually are."""
        return frame.duration or self.usual_ticks
