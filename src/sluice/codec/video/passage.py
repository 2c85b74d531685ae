"""One ordered passage over a source's packets, with leaps over what no clip needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from sluice.codec.video.clip import CutWork, SourceFacts
from sluice.codec.video.clock import Clock
from sluice.codec.video.container import Source, decoder_threads, located
from sluice.codec.video.tally import count_frame

if TYPE_CHECKING:
    from av.packet import Packet as _Packet
    from av.video.frame import VideoFrame

    Packet = _Packet[Any]

_LEAP_S = 5.0  # gaps shorter than this are read through: a seek costs more where bytes come from far away
_LAG_S = (
    2.0  # containers interleave sound within about a second of the pictures; after this nothing more comes
)
_HELD_BYTES = 64 << 20  # packets held back undecoded, at most
_DISPOSING = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4"})
"""Codecs that tell of a picture that no other is made from. HEVC tells it within a temporal layer only."""
_UNDATED = 64  # packets read ahead to learn when the first pictures are decoded: H.264 reorders 16 at most


Coded = tuple["Packet", int, int, int]
"""A packet of pictures, its PTS and DTS in the source and the ticks that it lasts for: its own may become a clip's."""
CodedSound = tuple["Packet", int, int]
"""A packet of sound, its PTS in the source and the ticks that it lasts for."""


class FallbackError(Exception):
    """A clip cannot be cut in the way that was asked for; the reason is told with it."""


class Passage:
    """The packets of one video stream and, where there is one, of one audio stream, in the file's order.

    `first_pts` is the PTS of the first frame shown, the origin of source time. A leap never goes back: packets that
    were given before are not given again.
    """

    def __init__(self, source: Source, work: CutWork, first_pts: int) -> None:
        self.source, self.work = source, work
        self.container: Any = source.container
        self.video: Any = source.pictures()
        self.audio: Any = source.audio if source.audio is not None and source.audio.codec_context else None
        self.first_pts = first_pts
        self._decoding_times = source.has_decoding_times_only
        self.time_base: Fraction = self.video.time_base or Fraction(1)
        sound_ticks: Any = self.time_base if self.audio is None else self.audio.time_base
        ratio = sound_ticks / self.time_base
        self._sound_ratio: tuple[int, int] = ratio.numerator, ratio.denominator
        self._lag_ticks, self._leap_ticks = self.ticks(_LAG_S), self.ticks(_LEAP_S)
        self._streams = [s for s in (self.video, self.audio) if s is not None]
        self._demux = self._dated(self.container.demux(*self._streams))
        self._ahead: deque[Packet] = deque()
        self._latest: dict[int, int] = {}
        self._kept: deque[Packet] = deque()
        self._skip: dict[int, int] = {}
        self._overlaps = False
        self._leapt_to: int | None = None

    @cached_property
    def facts(self) -> SourceFacts:
        """What is told of the source."""
        context = self.video.codec_context
        rate = self.video.average_rate or self.video.guessed_rate
        return SourceFacts(
            context.width,
            context.height,
            float(rate) if rate else 0.0,
            context.codec.canonical_name,
            context.bit_rate or None,
        )

    def ticks(self, seconds: float) -> int:
        """Seconds as ticks of the video stream."""
        return int(Fraction(seconds) / self.time_base)

    def packets(self) -> Iterator[Packet]:
        """All packets that are left, in order; leaps may be made between two of them."""
        latest = self._latest
        while True:
            while self._ahead:
                yield self._ahead.popleft()
            demux = self._demux
            with located():
                for packet in demux:
                    if not packet.size or (self._skip and not self._fresh(packet)):
                        continue
                    at = packet.dts
                    if at is None:
                        at = packet.pts
                    if at is not None:
                        latest[packet.stream_index] = at
                    yield self._timed(packet) if self._decoding_times else packet
                    if self._demux is not demux:
                        break
                else:
                    return

    def runs(self, longest: int) -> Iterator[tuple[list[Coded], list[CodedSound]]]:
        """All packets that are left, gathered in runs of pictures and of the sound beside them.

        A run is of one group of pictures, and at most `longest` ticks long. Leaps may be made between two of them.
        FallbackError where a picture has no time.
        """
        latest, video = self._latest, self.video.index
        while True:
            ahead, self._ahead = self._ahead, deque()
            demux, pictures, sounds = self._demux, list[Coded](), list[CodedSound]()
            until = 0
            with located():
                for packet in self._sifted(chain(ahead, demux)):
                    if packet.stream_index != video:
                        self._gather(packet, sounds)
                        continue
                    pts, dts = packet.pts, packet.dts
                    if pts is None:
                        raise FallbackError("packets without timestamps")
                    at = pts if dts is None else dts
                    if pictures and (at >= until or packet.is_keyframe):
                        yield pictures, sounds
                        if self._demux is not demux:
                            break  # what is in hand comes again where it is needed
                        pictures, sounds = [], []
                    if not pictures:
                        until = at + longest
                    pictures.append((packet, pts, at, packet.duration or 0))
                    latest[video] = at
                else:
                    if pictures or sounds:
                        yield pictures, sounds
                    return

    def _sifted(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        if self._skip or self._decoding_times:
            return (self._timed(packet) for packet in packets if packet.size and self._fresh(packet))
        return (packet for packet in packets if packet.size)

    def _gather(self, packet: Packet, sounds: list[CodedSound]) -> None:
        pts, at = packet.pts, order(packet)
        if at is not None:
            self._latest[packet.stream_index] = at
        if pts is not None:
            sounds.append((packet, pts, packet.duration or 0))

    def _next(self) -> Packet | None:
        with located():
            for packet in self._demux:
                if packet.size and self._fresh(packet):
                    at = order(packet)
                    if at is not None:
                        self._latest[packet.stream_index] = at
                    return self._timed(packet)
        return None

    def _dated(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        """The packets, pictures with the time of their decoding.

        Matroska does not tell it, and FFmpeg not of the first pictures that it reads, before it has seen how they are
        reordered: they are decoded a tick apart, before the first whose time it tells.
        """
        early: list[Packet] = []
        for packet in packets:
            early.append(packet)
            is_picture = packet.stream_index == self.video.index
            if (is_picture and packet.dts is not None) or len(early) == _UNDATED:
                break
        pictures = [p for p in early if p.stream_index == self.video.index and p.size]
        if pictures and pictures[-1].dts is not None:
            for ticks, one in enumerate(reversed(pictures[:-1]), 1):
                one.dts = pictures[-1].dts - ticks
        yield from early
        yield from packets

    def _timed(self, packet: Packet) -> Packet:
        """Where the container has no times of presentation, what it has is one only if nothing is reordered."""
        if self._decoding_times and packet.stream_index == self.video.index:
            packet.pts = None if self.video.codec_context.reorder_depth else packet.dts
        return packet

    def _fresh(self, packet: Packet) -> bool:
        at, stream = order(packet), packet.stream_index
        if at is None:
            return True
        limit = self._skip.get(stream)
        if limit is not None and at <= limit:
            self._overlaps |= stream == self.video.index
            return False
        self._skip.pop(stream, None)
        return True

    def leap(self, start_pts: int) -> None:
        """Go on at the last key frame at or before `start_pts`, where that lies well ahead of where we are."""
        if start_pts == self._leapt_to or not self.source.is_seekable:
            return
        passed = dict(self._latest)
        here = passed.get(self.video.index, self.first_pts)
        if start_pts - here < self._leap_ticks:
            return
        self._leapt_to, back = start_pts, 0
        while True:
            target = max(start_pts - back, here)
            self._seek(target, passed)
            if self._lands_before(start_pts) or target == here:
                return
            back = max(2 * back, self.ticks(1.0))

    def _seek(self, target: int, passed: dict[int, int]) -> None:
        self.work.seeks += 1
        self._ahead.clear()
        self._kept.clear()
        self._latest.clear()
        self._latest.update(passed)
        self._skip, self._overlaps = dict(passed), False
        with located():
            self.container.seek(target, stream=self.video, backward=True)
        self._demux = self._dated(self.container.demux(*self._streams))

    def _lands_before(self, start_pts: int) -> bool:
        """Whether nothing is lost by going on here: we have been here before, or a key frame at or before comes.

        What was read to tell is given again by `packets`, but for pictures that nothing can be made of.
        """
        while (packet := self._next()) is not None:
            if packet.stream_index != self.video.index:
                self._kept.append(packet)
            elif self._overlaps or packet.is_keyframe:
                self._kept.append(packet)
                self._ahead, self._kept = self._kept, deque()
                return self._overlaps or packet.pts is None or packet.pts <= start_pts
        self._ahead, self._kept = self._kept, deque()
        return False

    def sound_is_over(self, end_pts: int | None) -> bool:
        """Whether, by what has come, no more sound of a span that ends at `end_pts` will come."""
        if self.audio is None or end_pts is None:
            return self.audio is None
        sound, pictures = self._latest.get(self.audio.index), self._latest.get(self.video.index)
        if sound is not None and self.in_video_ticks(sound) >= end_pts:
            return True
        return pictures is not None and pictures - end_pts >= self._lag_ticks

    def in_video_ticks(self, at: int) -> int:
        """A time of the sound in ticks of the video stream, rounded down."""
        numerator, denominator = self._sound_ratio
        return at * numerator // denominator


class Shown(NamedTuple):
    """A frame, its PTS, and for how many ticks it is shown."""

    pts: int
    ticks: int
    image: VideoFrame


class PictureDecoder:
    """Decodes what is wanted of a passage's packets, and counts what it does.

    Packets are held back until it is known whether a later key frame makes them superfluous.
    """

    def __init__(self, passage: Passage) -> None:
        self._context, self._work = passage.video.codec_context, passage.work
        self._context.thread_count, self._context.thread_type = decoder_threads(), "AUTO"
        self._clock = Clock(passage.source)
        self._can_skip = (
            self._context.codec.canonical_name in _DISPOSING and not passage.source.has_decoding_times_only
        )
        self._skips = self._used = False
        self._held: list[Packet] = []
        self._held_bytes = 0

    def offer(self, packet: Packet, wanted_from: int | None) -> Iterator[Shown]:
        """The frames that come out on a packet; `wanted_from` is the first PTS wanted, None where all are."""
        at = order(packet)
        if wanted_from is not None and packet.is_keyframe and at is not None:
            begins = packet.pts if packet.pts is not None else at
            if begins <= wanted_from:
                self.restart()
        if not (self._used or self._held or packet.is_keyframe):
            return  # nothing can be made of it without the key frame before it
        self._held.append(packet)
        self._held_bytes += packet.size
        if wanted_from is None or at is None or at >= wanted_from or self._held_bytes > _HELD_BYTES:
            held, self._held, self._held_bytes = self._held, [], 0
            for one in held:
                yield from self.feed(one, wanted_from)

    def restart(self) -> None:
        """Forget everything, so that a key frame can come next."""
        self._held, self._held_bytes = [], 0
        if self._used:
            self._used = False
            self._context.flush_buffers()
            self._clock.restart()

    def feed(self, packet: Packet, wanted_from: int | None = None) -> Iterator[Shown]:
        """The frames that come out on a packet, in order of presentation.

        A frame before `wanted_from` is not decoded where no other is made from it.
        """
        self._skip(wanted_from is not None and packet.pts is not None and packet.pts < wanted_from)
        self._used = True
        self._work.packets_decoded += 1
        self._clock.fed(packet)
        with located():
            frames = self._context.decode(packet)
        yield from self._shown(frames)

    def _skip(self, skips: bool) -> None:
        if self._can_skip and skips != self._skips:
            self._skips = skips
            self._context.skip_frame = "NONREF" if skips else "DEFAULT"

    def drain(self) -> Iterator[Shown]:
        """What is held back, to the last frame; afterwards the decoder can begin elsewhere."""
        held, self._held, self._held_bytes = self._held, [], 0
        for one in held:
            yield from self.feed(one)
        if not self._used:
            return
        self._used = False
        with located():
            frames = self._context.decode(None)
            self._context.flush_buffers()
        yield from self._shown(frames)
        self._clock.restart()

    def _shown(self, frames: Iterable[VideoFrame]) -> Iterator[Shown]:
        for frame in frames:
            self._work.frames_decoded += 1
            count_frame()
            pts = self._clock.pts(frame)
            if pts is not None:
                yield Shown(pts, self._clock.ticks(frame), frame)


def order(packet: Packet) -> int | None:
    """When a packet is decoded; its presentation where the container does not tell."""
    return packet.dts if packet.dts is not None else packet.pts
