"""The frames of a view, in order of presentation, from its start to its end."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any

from sluice.codec.limits import current_limits
from sluice.codec.video.clock import Clock
from sluice.codec.video.container import THREADS, Source, first_tick, located, opened, seconds
from sluice.codec.video.frame import Frame, Look, Scalers
from sluice.codec.video.motion_vectors import EXPORTING_CODECS
from sluice.codec.video.orientation import orientation
from sluice.errors import UnreadableError
from sluice.sample.media import Media

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame


def decode(media: Media, *, motion_vectors: bool = False, keyframes_only: bool = False) -> Iterator[Frame]:
    """The view's frames in order of presentation; span and crop are respected, memory does not grow with length.

    A span decodes from the key frame at or before its start. With `motion_vectors` frames have the codec's own
    vectors; with `keyframes_only` only key frames are decoded. Raises UnreadableError: `no video stream`, `no frames`
    (of the source, or of the span), `truncated`, `corrupt` (a picture cannot be decoded, or only by guessing),
    `unsupported codec`, `timestamps go back`, `crop outside the picture`; and LimitError.
    """
    with opened(media) as source:
        reader = Reader(source, motion_vectors=motion_vectors, keyframes_only=keyframes_only)
        found = False
        for frame in reader.frames(media.start_s, media.end_s, media.crop):
            found = True
            yield frame
        if not found and not (keyframes_only and reader.seen):
            raise UnreadableError("no frames", "no frame lies in the span" if reader.seen else "")


class Reader:
    """Decodes one opened source, from where it is told to begin."""

    def __init__(self, source: Source, *, motion_vectors: bool = False, keyframes_only: bool = False) -> None:
        self.source, self.stream = source, source.pictures()
        self.clock = Clock(source)
        self.time_base: Fraction = self.clock.time_base
        self.seen = 0
        self._keys = keyframes_only
        context = self.stream.codec_context
        context.thread_count, context.thread_type = THREADS, "AUTO"
        context.options = {"max_pixels": str(current_limits().video_px)}
        self._vectors = motion_vectors and context.codec.canonical_name in EXPORTING_CODECS
        if self._vectors:
            from av.codec.context import Flags2

            context.flags2 |= Flags2.export_mvs
        self._first: tuple[VideoFrame, int] | None = None
        self.from_start = self.packets()
        self._from_start = self._decoded(self.from_start)

    @property
    def first(self) -> tuple[VideoFrame, int]:
        """The first frame of the source and its PTS: the origin of time. Decoded at most once."""
        if self._first is None:
            self._first = next(self._from_start, None)
            if self._first is None:
                raise UnreadableError("no frames", "its video stream has no picture")
        return self._first

    def look(self, crop: Any) -> Look:
        """How this source's frames are shown."""
        image, _ = self.first
        aspect = sample_aspect_ratio(self.stream)
        look = Look(orientation(image), crop, aspect, self._vectors)
        if crop is not None:
            look.orientation.stored_crop(crop, image.width, image.height)
        return look

    def frames(self, start_s: float | None, end_s: float | None, crop: Any) -> Iterator[Frame]:
        """The frames with `start_s` ≤ t < `end_s`."""
        look, scalers = self.look(crop), Scalers()
        origin = self.first[1]
        start = None if start_s is None else origin + first_tick(start_s, self.time_base)
        end = None if end_s is None else origin + first_tick(end_s, self.time_base)
        index, held = 0, None
        for image, pts in self.images(start):
            if held is not None:
                yield self._frame(held, pts - held[1], look, scalers, index)
                index, held = index + 1, None
            if end is not None and pts >= end:
                return
            held = image, pts
        if held is not None:
            yield self._frame(held, self.clock.ticks(held[0]), look, scalers, index)

    def _frame(
        self, held: tuple[VideoFrame, int], ticks: int, look: Look, scalers: Scalers, index: int
    ) -> Frame:
        image, pts = held
        return Frame(
            image,
            look,
            scalers,
            time_s=seconds(pts - self.first[1], self.time_base),
            pts=pts,
            duration_s=seconds(ticks, self.time_base),
            index=index,
        )

    def images(self, start: int | None) -> Iterator[tuple[VideoFrame, int]]:
        """Frames from the first with a PTS of at least `start` on, with their PTS."""
        origin = self.first[1]
        begun: Iterator[tuple[VideoFrame, int]] | None = None
        back = 0
        while start is not None and start - back > origin and self.source.is_seekable:
            begun = self._begun_before(start, start - back)
            if begun is not None:
                break
            back = max(2 * back, first_tick(1.0, self.time_base))
        if begun is None:
            begun = self._again_from_start() if back else chain([self.first], self._from_start)
        for image, pts in begun:
            if start is None or pts >= start:
                yield image, pts

    def _begun_before(self, start: int, goal: int) -> Iterator[tuple[VideoFrame, int]] | None:
        """Frames from one at or before `start` on, sought at `goal`; None where the seek lands too late."""
        packets = self._packets_from(goal, start)
        if packets is None:
            return None
        decoded = self._decoded(packets)
        first = next(decoded, None)
        if first is None or first[1] > start:  # a picture that needs some time to come to itself
            return None
        return chain([first], decoded)

    def _again_from_start(self) -> Iterator[tuple[VideoFrame, int]]:
        with opened(self.source.media) as source:
            yield from Reader(source, motion_vectors=self._vectors, keyframes_only=self._keys)._from_start

    def _packets_from(self, goal: int, start: int) -> Iterator[Packet] | None:
        """Packets from a key frame at or before `start`, sought at `goal`; None where the seek lands too late."""
        with located():
            self.source.container.seek(goal, stream=self.stream)
        self.clock.restart()
        packets = self.packets()
        key = next(packets, None)
        if key is None:
            return None
        at = key.pts if key.pts is not None else key.dts
        if at is None or at > start:
            return None
        return chain([key], packets)

    def packets(self) -> Iterator[Packet]:
        """Packets from the next key frame on."""
        wanted = False
        demux = self.source.container.demux(self.stream)
        while True:
            with located():
                packet = next(demux, None)
            if packet is None:
                return
            if packet.size == 0:
                continue
            wanted = wanted or packet.is_keyframe
            if wanted and (packet.is_keyframe or not self._keys):
                yield packet

    def _decoded(self, packets: Iterator[Packet]) -> Iterator[tuple[VideoFrame, int]]:
        context, clock = self.stream.codec_context, self.clock
        for packet in packets:
            clock.fed(packet)
            with located():
                images = context.decode(packet)
                if self._keys:
                    images += context.decode(None)
                    context.flush_buffers()
            for image in images:
                pts = clock.pts(image)
                if pts is not None:
                    self.seen += 1
                    yield image, pts
        if self._keys:
            return
        with located():
            images = context.decode(None)
            context.flush_buffers()
        for image in images:
            pts = clock.pts(image)
            if pts is not None:
                self.seen += 1
                yield image, pts


def sample_aspect_ratio(stream: Any) -> Fraction:
    """The width of a stored pixel over its height; 1 where the container does not tell."""
    ratio = stream.sample_aspect_ratio
    return ratio if ratio else Fraction(1)
