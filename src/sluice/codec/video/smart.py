"""Clips cut exactly: whole groups of pictures are copied bit for bit, what the span cuts off them is encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.codec.video.clip import ClipSettings, ClipSpan
from sluice.codec.video.cutting import Clip, PacketCutting
from sluice.codec.video.encode import encoding
from sluice.codec.video.passage import FallbackError, Passage, PictureDecoder, Shown, order
from sluice.codec.video.splice import ParameterSetError, Splice
from sluice.codec.video.transcode import shown_for
from sluice.errors import SampleError, UnreadableError

if TYPE_CHECKING:
    from sluice.codec.video.passage import Packet

_HELD_BYTES = 256 << 20


class SmartClip(Clip):
    """A clip joined of encoded and copied pictures, in one track."""

    def __init__(self, splice: Splice, *args: Any) -> None:
        super().__init__(*args)
        self._splice = splice
        self._encoder: Any = None
        self._usual = 1
        self._pts: list[int] = []
        self._written = 0
        self.covered: int | None = None
        """PTS of the last frame that is written, or is in the encoder."""
        self.copying = False
        """Whether the last picture was copied."""
        self._ending: Packet | None = None

    def encode(self, shown: Shown) -> None:
        """Take a frame that is not copied."""
        if self._encoder is None:
            self._encoder = self._splice.encoder()
        self._begin(shown.pts)
        self.copying, self.covered = False, shown.pts
        assert self.muxer.origin is not None
        pts = shown.pts - self.muxer.origin
        frame = shown.image
        frame.pts, frame.time_base = pts, self._passage.time_base
        frame.pict_type = 0
        self.muxer.note_duration(pts, shown_for(shown, self, self._usual))
        self._passage.work.frames_encoded += 1
        with encoding():
            packets = self._encoder.encode(frame)
        self._encoded(packets)

    def copy(self, packets: Sequence[Packet]) -> None:
        """Take pictures as they are coded, from a key frame on, in decoding order."""
        import av

        self._end_encoding(before_open_entry=self._splice.open_entry(packets[0]))
        self._begin(packets[0].pts or 0)
        self.copying = True
        assert self.muxer.origin is not None
        for packet in packets:
            pts = packet.pts or 0
            copied: Packet = av.Packet(self._splice.copied(packet))
            copied.pts, copied.is_keyframe = pts - self.muxer.origin, packet.is_keyframe
            self.muxer.note_duration(copied.pts, packet.duration or self._usual)
            self.covered = pts if self.covered is None else max(self.covered, pts)
            self.muxer.copied_frames += 1
            self._write(copied)

    def end_pictures(self) -> None:
        """No picture comes any more."""
        self._end_encoding(before_open_entry=False)
        self.pictures_done = True

    def _begin(self, pts: int) -> None:
        muxer, video = self.muxer, self._passage.video
        if muxer.origin is not None:
            return
        muxer.video = muxer.container.add_stream_from_template(video, opaque=True)
        muxer.video.codec_context.extradata = self._splice.extradata()
        if self._splice.tag:
            muxer.video.codec_context.codec_tag = self._splice.tag
        muxer.size = (video.codec_context.width, video.codec_context.height)
        rate = video.average_rate or video.guessed_rate
        self._usual = max(1, round(1 / (rate * self._passage.time_base))) if rate else 1
        muxer.begin(pts)

    def _end_encoding(self, *, before_open_entry: bool) -> None:
        if self._encoder is None:
            return
        with encoding():
            packets = self._encoder.encode(None)
        self._encoder = None
        self._encoded(packets)
        self._flush_ending(self._splice.ending() if before_open_entry else b"")

    def _encoded(self, packets: Iterable[Packet]) -> None:
        """The encoder's packets; the last of them waits, as something may have to be put at its end."""
        for packet in packets:
            self._flush_ending(b"")
            self._ending = packet

    def _flush_ending(self, ending: bytes) -> None:
        import av

        packet, self._ending = self._ending, None
        if packet is not None:
            joined: Packet = av.Packet(self._splice.encoded(packet) + ending)
            joined.pts, joined.is_keyframe = packet.pts, packet.is_keyframe
            self._write(joined)

    def _write(self, packet: Packet) -> None:
        """Give the packet its time of decoding: pictures are decoded in the order of all times of presentation.

        As many times ahead as the source reorders pictures; times before the first are made up.
        """
        pts, depth = packet.pts or 0, self._passage.video.codec_context.reorder_depth
        heappush(self._pts, pts)
        late = depth - self._written
        packet.dts = -late * self._usual if late > 0 else heappop(self._pts)
        self._written += 1
        if packet.dts > pts:
            raise FallbackError("pictures are reordered further than the stream says")
        packet.time_base = self._passage.time_base
        self.muxer.take_picture(packet)


class SmartCutting(PacketCutting):
    """Takes the source group by group: a group is copied into the clips that hold all of it, decoded for others.

    A group begins with a key frame at which decoding can begin, and ends before the next one. Pictures that follow
    such a key frame in the stream but are shown before it ("leading", of open groups) lean on the group before:
    they are copied where that one was, and encoded where it was.
    """

    def __init__(
        self,
        passage: Passage,
        spans: Sequence[tuple[int, ClipSpan]],
        folder: Path,
        settings: ClipSettings,
        splice: Splice,
    ) -> None:
        self._splice = splice
        super().__init__(passage, spans, folder, settings)
        self._decoder = PictureDecoder(passage)
        self._group: list[Packet] = []
        self._group_bytes = 0
        self._copyable = False
        self._waiting_for_leading: list[SmartClip] = []
        """Clips that the decoder, not drained yet, still works for."""

    def make(self, number: int, span: ClipSpan) -> Clip:
        """Clips that encode and copy."""
        return SmartClip(self._splice, number, span, self.passage, self.folder, self.settings)

    def picture(self, packet: Packet) -> None:
        """Add the packet to its group, or begin the next one with it."""
        at = order(packet)
        if packet.pts is None or at is None:
            raise FallbackError("packets without timestamps")
        if packet.is_keyframe:
            self._key_frame(packet, packet.pts)
        self._group.append(packet)
        self._group_bytes += packet.size
        if self._group_bytes > _HELD_BYTES:
            raise FallbackError("a group of pictures is too long to be held")
        running = self._running()
        if not self.waiting and running and all(clip.after(at) for clip in running):
            self._close_group(None, whole=False)
            self._end_all()

    def end(self) -> None:
        """The last group, and the end of all clips."""
        if self._group:
            self._close_group(None, whole=True)
        self._end_all()

    def _running(self) -> list[SmartClip]:
        return [c for c in self.active if isinstance(c, SmartClip) and not c.pictures_done]

    def _end_all(self) -> None:
        for clip in self._running():
            self._safely(clip, clip.end_pictures)

    def _key_frame(self, packet: Packet, pts: int) -> None:
        entry = self._splice.entry(packet)
        if not entry and not (self._nothing_before(pts)):
            self.begin(pts)
            for clip in self._running():
                if not clip.after(pts):
                    self.fall_back(
                        clip, "open groups of pictures: a key frame of H.264 that is no IDR picture"
                    )
        if entry or self._nothing_before(pts) or not self._running():
            if self._group:
                self._close_group(packet if entry else None, whole=entry)
            self._group, self._group_bytes, self._copyable = [], 0, entry

    def _nothing_before(self, pts: int) -> bool:
        """Whether nothing before a key frame is wanted any more, so that decoding may begin at it."""
        return not self._running() and bool(self.waiting) and pts <= self.waiting[0].start

    def _close_group(self, following: Packet | None, *, whole: bool) -> None:
        """Copy or decode the group that ends before the key frame `following`."""
        group, self._group = self._group, []
        key = group[0].pts or 0
        leading = [p for p in group[1:] if (p.pts or 0) < key]
        last = max(p.pts or 0 for p in group)
        opens = following is not None and self._splice.open_entry(following)
        until = (following.pts or 0) if opens and following is not None else last
        self.begin(max(last, until - 1))  # leading pictures of the next group lean on this one
        holding, wanting = [], []
        for clip in self._running():
            inside = whole and self._copyable and clip.start <= key and not clip.after(until)
            if inside and not any(p.is_discard for p in group):
                holding.append(clip)
            elif not clip.after(key):
                wanting.append(clip)
                if clip.copying and leading:
                    self._safely(clip, partial(clip.copy, [group[0], *leading]))
        self._decode(group, leading, wanting, opens=opens)
        for clip in holding:
            taken = group if clip.copying else [p for p in group if (p.pts or 0) >= key]
            self._safely(clip, partial(clip.copy, taken))
        for clip in self._running():
            if clip.after(last + 1) and clip not in self._waiting_for_leading:
                self._safely(clip, clip.end_pictures)

    def _decode(
        self, group: Sequence[Packet], leading: Sequence[Packet], wanting: list[SmartClip], *, opens: bool
    ) -> None:
        """Decode a group for the clips that want frames of it, and its leading pictures for those that wait."""
        waited, self._waiting_for_leading = [c for c in self._waiting_for_leading if c in self.active], []
        if not waited:
            self._decoder.restart()
        packets = group if wanting else [group[0], *leading] if waited and leading else ()
        key = group[0].pts or 0
        wanted_from = None if waited else min((clip.start for clip in wanting), default=None)
        try:
            for packet in packets:
                if not opens and wanting and all(clip.after(order(packet) or key) for clip in wanting):
                    break  # what is decoded later is shown later
                for shown in self._decoder.feed(packet, wanted_from):
                    self._give(shown, waited, wanting, key)
            if opens and wanting:
                self._waiting_for_leading = wanting
                return
            for shown in self._decoder.drain():
                self._give(shown, waited, wanting, key)
        except UnreadableError as error:
            self._decoder.restart()
            for clip in {*waited, *wanting} & {*self._running()}:
                self.fail(clip, error)

    def _give(self, shown: Shown, waited: list[SmartClip], wanting: list[SmartClip], key: int) -> None:
        for clip in dict.fromkeys((*waited, *wanting)):
            new = clip.covered is None or shown.pts > clip.covered
            if not new or not clip.pts.holds(shown.pts) or (clip not in wanting and shown.pts >= key):
                continue
            if shown.image.is_corrupt:
                raise UnreadableError("corrupt", "a picture can be decoded only by guessing")
            if clip in self.active:
                self._safely(clip, partial(clip.encode, shown))

    def _safely(self, clip: SmartClip, deed: Callable[[], None]) -> None:
        """Do something for a clip; what goes wrong is that clip's alone."""
        try:
            deed()
        except SampleError as error:
            self.fail(clip, error)
        except (FallbackError, ParameterSetError) as error:
            self.fall_back(clip, str(error))
