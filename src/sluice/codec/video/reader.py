"""Decodes one opened source: from its start, or from a key frame at or before a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

from sluice.codec.limits import current_limits
from sluice.codec.video.clock import Clock
from sluice.codec.video.container import Source, decoder_threads, first_tick, located, opened, seconds
from sluice.codec.video.frame import Frame, Look, Scalers
from sluice.codec.video.motion_vectors import EXPORTING_CODECS
from sluice.codec.video.orientation import orientation
from sluice.codec.video.tally import count_frame
from sluice.errors import UnreadableError
from sluice.sample.media import Crop

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    Picture = tuple[VideoFrame, int]
    VideoPacket = Packet[VideoStream]

_HIDING_CODECS = frozenset({"vp8", "vp9", "mpeg4"})
"""Codecs with packets that show nothing: references only, or a picture not coded because nothing changed."""
_DECLARING_CONTAINERS = frozenset({"matroska,webm", "flv", "asf", "avi"})
"""Containers whose header says how long they are; ISO files say it of every sample, others are only estimated."""
_DECLARED_SLACK_S = 1.0  # such headers are rounded, and count sound that was never written
_FRAMES_BETWEEN_CHECKS = 100_000
_MISSING_PICTURES = 1  # so many may be missing: the last one, of which half was written
_WORTH_A_SEEK_S = 4.0  # where there is no index: key frames are rarely further apart


class Reader:
    """Decodes the video of an opened source. It is read once: from its start, or by seeks, never by two at a time."""

    def __init__(self, source: Source, *, motion_vectors: bool = False, keyframes_only: bool = False) -> None:
        self.source, self.stream = source, source.pictures()
        self.clock = Clock(source)
        self.time_base: Fraction = self.clock.time_base
        declared_s = (source.container.duration or 0) / 1_000_000
        current_limits().check_video_length(declared_s, self.stream.frames)
        context = self.stream.codec_context
        context.thread_count, context.thread_type = decoder_threads(), "AUTO"
        context.options = {"max_pixels": str(current_limits().video_px)}
        self._codec: str = context.codec.canonical_name
        self._keys = keyframes_only and source.is_seekable and not source.has_decoding_times_only
        self._only_keys = keyframes_only
        self._vectors = motion_vectors and self._codec in EXPORTING_CODECS
        if self._vectors:
            from av.codec.context import Flags2

            context.flags2 |= Flags2.export_mvs
        self._first: Picture | None = None
        self._latest: int | None = None
        self._from_start = self._decoded(self._packets(), None)

    @property
    def first(self) -> Picture:
        """The first frame of the source and its PTS, the origin of time. It is decoded once."""
        if self._first is None:
            self._first = _first_of(self.source) if self._only_keys else next(self._from_start, None)
            if self._first is None:
                raise UnreadableError("no frames", "its video stream has no picture")
        return self._first

    def look(self, crop: Crop | None) -> Look:
        """How this source's frames are shown. Raises UnreadableError where the crop does not lie in them."""
        image, _ = self.first
        look = Look(orientation(image), crop, sample_aspect_ratio(self.stream), self._vectors)
        if crop is not None:
            look.orientation.stored_crop(crop, image.width, image.height)
        return look

    def frame(self, picture: Picture, look: Look, scalers: Scalers, index: int) -> Frame:
        """A picture as a frame that lasts as long as the container says."""
        image, pts = picture
        return Frame(
            image,
            look,
            scalers,
            time_s=seconds(pts - self.first[1], self.time_base),
            pts=pts,
            duration_s=seconds(self.clock.ticks(image), self.time_base),
            index=index,
        )

    def images(self, start: int | None) -> Iterator[Picture]:
        """Pictures with their PTS in order of presentation, from one at or before `start` (a PTS) on."""
        origin, back = self.first[1], 0
        while start is not None and start - back > origin and self.source.is_seekable:
            begun = self._begun_before(start, start - back)
            if begun is not None:
                yield from begun
                return
            back = max(2 * back, first_tick(1.0, self.time_base))
        if back:
            yield from self._again_from_start()
            return
        if not self._only_keys:
            yield self.first
        yield from self._from_start

    def leads_further(self, here: int, pts: int) -> bool:
        """Whether a seek to `pts` would go beyond `here`: it pays only where a key frame lies between them."""
        entries = self.stream.index_entries
        if self.source.is_iso and len(entries):
            at = entries.search_timestamp(pts, backward=True)
            return at >= 0 and entries[at].timestamp > here
        return self.source.is_seekable and pts - here > first_tick(_WORTH_A_SEEK_S, self.time_base)

    def extent(self) -> tuple[int | None, int, int]:
        """PTS where the last frame ends (None: there is none), packets that are shown, and their bytes, from here on.

        By reading packets to the end of the stream, without decoding.
        """
        last, ticks, count, size_bytes = None, 0, 0, 0
        for at, lasts, size in self.shown():
            count, size_bytes = count + 1, size_bytes + size
            if last is None or at > last:
                last, ticks = at, lasts
        return None if last is None else last + ticks, count, size_bytes

    def shown(self) -> Iterator[tuple[int, int, int]]:
        """PTS, ticks and bytes of each packet that is shown, from here on, as they are stored; nothing is decoded."""
        last, ticks, count = None, 0, 0
        by_order = self.source.has_decoding_times_only
        for packet in self._packets(any_packet=True):
            at = packet.dts if by_order or packet.pts is None else packet.pts
            if packet.is_discard:
                continue
            if at is None:  # raw streams: one picture after the other
                at = 0 if last is None else last + ticks
            lasts = packet.duration or self.clock.usual_ticks
            if last is None or at > last:
                last, ticks = at, lasts
            yield at, lasts, packet.size
            count += 1
            if count % _FRAMES_BETWEEN_CHECKS == 0:
                current_limits().check_video_length(0.0, count)

    def _begun_before(self, start: int, goal: int) -> Iterator[Picture] | None:
        """Pictures from one at or before `start` on, sought at `goal`; None where the seek lands too late."""
        with located():
            self.source.container.seek(goal, stream=self.stream)
        self.clock.restart()
        packets = self._packets()
        key = next(packets, None)
        at = None if key is None else key.dts if key.pts is None else key.pts
        if key is None or at is None or at > start:
            return None
        decoded = self._decoded(chain([key], packets), at)
        first = next(decoded, None)
        if (
            first is None or first[1] > start
        ):  # a gradual refresh: pictures come some time after the key frame
            return None
        return chain([first], decoded)

    def _again_from_start(self) -> Iterator[Picture]:
        with opened(self.source.media) as source:
            again = Reader(source, motion_vectors=self._vectors, keyframes_only=self._only_keys)
            yield from again.images(None)

    def _packets(self, *, any_packet: bool = False) -> Iterator[VideoPacket]:
        """Packets from the next key frame (or packet) on, to the end, which must be where the container says."""
        begun = any_packet
        demux = self.source.container.demux(self.stream)
        while True:
            with located():
                packet = next(demux, None)
            if packet is None:
                self._check_end()
                return
            if packet.size == 0:
                continue
            at = packet.pts if packet.pts is not None else packet.dts
            if at is not None and (self._latest is None or at > self._latest):
                self._latest = at
            begun = begun or packet.is_keyframe
            if begun and (packet.is_keyframe or not self._keys):
                yield packet

    def _decoded(self, packets: Iterator[VideoPacket], key_pts: int | None) -> Iterator[Picture]:
        """Pictures of packets; after a seek those before `key_pts` lack what they refer to and are left out."""
        clock, context = self.clock, self.stream.codec_context
        fed = out = 0
        clean = False
        for packet in chain(packets, [None]):
            if packet is not None:
                clock.fed(packet)
            with self._located():
                images = context.decode(packet)
                if self._keys and packet is not None:
                    images += context.decode(None)
                if self._keys or packet is None:
                    context.flush_buffers()
            if packet is not None and not packet.is_discard:
                fed += 1
            for image in images:
                pts = clock.pts(image)
                out += 1
                count_frame()
                if pts is None or (key_pts is not None and pts < key_pts):
                    continue
                if image.is_corrupt:
                    if clean:
                        raise UnreadableError("corrupt", f"a damaged picture {self._where(pts)}")
                    continue
                clean = True
                if image.key_frame or not self._only_keys:
                    yield image, pts
        if key_pts is None and not self._keys and self._codec not in _HIDING_CODECS:
            self._check_count(fed, out)

    def _check_count(self, fed: int, out: int) -> None:
        if fed - out > _MISSING_PICTURES:
            raise UnreadableError("corrupt", f"{fed - out} of {fed} pictures cannot be decoded")

    def _check_end(self) -> None:
        """Raise UnreadableError (`truncated`) where packets end before the index or the header says."""
        latest, entries = self._latest, self.stream.index_entries
        if latest is None:
            return
        if len(entries) and entries[-1].timestamp > latest:
            raise UnreadableError("truncated", f"its index goes on {self._where(latest)}")
        container = self.source.container
        if container.format.name not in _DECLARING_CONTAINERS or not container.duration:
            return
        declared_s = container.duration / 1_000_000
        begins_s = (container.start_time or 0) / 1_000_000
        if declared_s - (seconds(latest, self.time_base) - begins_s) < _DECLARED_SLACK_S:
            return
        there_s = _end_s(self.source) - begins_s
        if declared_s - there_s >= _DECLARED_SLACK_S:
            raise UnreadableError("truncated", f"it ends at {there_s:.3f} s of {declared_s:.3f} s")

    @contextmanager
    def _located(self) -> Iterator[None]:
        """As `located`, and says after which time."""
        try:
            with located():
                yield
        except UnreadableError as error:
            raise UnreadableError(error.reason, f"{error.what} {self._where(self.clock.last)}") from error

    def _where(self, pts: int | None) -> str:
        if pts is None or self._first is None:
            return "at its start"
        return f"after {seconds(pts - self._first[1], self.time_base):.3f} s"


def sample_aspect_ratio(stream: VideoStream) -> Fraction:
    """The width of a stored pixel over its height; 1 where the container does not tell."""
    return stream.sample_aspect_ratio or Fraction(1)


def _first_of(source: Source) -> Picture:
    """The first picture of all, which may be no key frame (an edit can begin anywhere)."""
    with opened(source.media) as again:
        return Reader(again).first


def _end_s(source: Source) -> float:
    """Where the last packet of any stream begins, in the container's time: by reading all of them."""
    end = 0.0
    with opened(source.media) as again, located():
        for packet in again.container.demux():
            at = packet.pts if packet.pts is not None else packet.dts
            if at is not None and packet.time_base:
                end = max(end, float((at + (packet.duration or 0)) * packet.time_base))
    return end
