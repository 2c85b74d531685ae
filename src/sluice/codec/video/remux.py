"""Clips whose coded pictures are copied as they are, from the key frame at or before the start."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from sluice.codec.video.clip import ClipSpan
from sluice.codec.video.cutting import Clip, Cutting, FallbackError
from sluice.codec.video.passage import order
from sluice.errors import SampleError, UnreadableError

if TYPE_CHECKING:
    from sluice.codec.video.mux import ClipMuxer
    from sluice.codec.video.passage import Packet

MP4_CODECS = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"})
"""Codecs whose coded pictures MP4 holds in a way that common readers know."""

_HELD_BYTES = 256 << 20


def no_copy(video: Any) -> str | None:
    """Why the pictures of this stream cannot be copied into MP4, None where they can."""
    codec: str = video.codec_context.codec.canonical_name
    return None if codec in MP4_CODECS else f"MP4 does not hold {codec}"


class CopiedClip(Clip):
    """A clip under way with, at its end, the packets of which it is not yet known whether it needs them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tail: list[Packet] = []

    def needed_tail(self) -> list[Packet]:
        """The packets that complete the clip: all that its frames are made from, and no hole between frames.

        What comes before a frame of the clip in decoding order may be what that frame is made from, so that it is
        kept, and then every frame shown before it.
        """
        end = self.pts.end
        shown = [p.pts if p.pts is not None else 0 for p in self.tail]
        count = 0
        if end is None:
            return self.tail
        limit = end
        while True:
            last = max((k for k, pts in enumerate(shown) if pts < limit), default=-1)
            if last + 1 <= count:
                return self.tail[:count]
            count = last + 1
            limit = max(limit, max(shown[:count]) + 1)


class Copying(Cutting):
    """Copies packets. The span of a clip grows to what decoding calls for; the true one is told."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._group: list[Packet] = []
        self._group_bytes = 0
        self._recent_sound: deque[Packet] = deque()

    def make(self, number: int, span: ClipSpan) -> Clip:
        """Clips with a tail."""
        return CopiedClip(number, span, self.passage, self.folder, self.settings)

    def picture(self, packet: Packet) -> None:
        """Give the packet to the clips under way, and hold its group for those that begin in it.

        A clip begins once no later key frame can be the last one at or before its start.
        """
        at = order(packet)
        if packet.pts is None or at is None:
            raise FallbackError("packets without timestamps")
        if packet.is_keyframe:
            self._begin_with_group(packet.pts - 1)
            self._group, self._group_bytes = [], 0
            while self._recent_sound and self._ends(self._recent_sound[0]) <= packet.pts:
                self._recent_sound.popleft()
        for clip in [c for c in self.active if not c.pictures_done]:
            self._take(clip, packet, at)
        if self.waiting:
            self._group_bytes += packet.size
            self._group.append(packet)
            if self._group_bytes > _HELD_BYTES:
                self._group = []
        if not packet.is_keyframe:
            self._begin_with_group(at)

    def sound(self, packet: Packet) -> None:
        """Sound of the group at hand is held too: it belongs to clips that begin with the group's key frame."""
        if packet.pts is None:
            return
        begins = self.passage.in_video_ticks(packet, packet.pts)
        self.give_sound(packet, [c for c in self.active if not c.after(begins)])
        if self.waiting and self._group_bytes <= _HELD_BYTES:
            self._recent_sound.append(packet)

    def _ends(self, sound: Packet) -> int:
        return self.passage.in_video_ticks(sound, (sound.pts or 0) + (sound.duration or 0))

    def _begin_with_group(self, pts: int) -> None:
        if not self.waiting:
            return
        before = len(self.active)
        self.begin(pts)
        for clip in self.active[before:]:
            if self._group_bytes > _HELD_BYTES:
                what = f"more than {_HELD_BYTES >> 20} MiB from one key frame to the next"
                self.fail(clip, UnreadableError("group of pictures too long", what))
                continue
            for packet in self._group:
                if clip in self.active and not clip.pictures_done:
                    self._take(clip, packet, order(packet) or 0)
            for packet in self._recent_sound:
                if clip in self.active:
                    self.give_sound(packet, [clip])

    def end(self) -> None:
        """What is left belongs to the clips that have not ended."""
        if self.waiting:
            self._begin_with_group(self.waiting[-1].start)
        for clip in [c for c in self.active if not c.pictures_done]:
            self._pictures_end(clip)

    def _take(self, clip: Clip, packet: Packet, at: int) -> None:
        assert isinstance(clip, CopiedClip)
        assert packet.pts is not None
        begun = clip.muxer.origin is not None
        if not begun and not packet.is_keyframe:
            return
        try:
            if begun and clip.after(at if not packet.is_keyframe else packet.pts):
                self._pictures_end(clip)
            elif clip.tail or clip.after(packet.pts):
                clip.tail.append(packet)
            else:
                self._write(clip, packet)
        except SampleError as error:
            self.fail(clip, error)

    def _pictures_end(self, clip: Clip) -> None:
        assert isinstance(clip, CopiedClip)
        clip.pictures_done = True
        for packet in clip.needed_tail():
            self._write(clip, packet)
        clip.tail = []

    def _write(self, clip: Clip, packet: Packet) -> None:
        muxer = clip.muxer
        assert packet.pts is not None
        if muxer.origin is None:
            video = self.passage.video
            muxer.video = muxer.container.add_stream_from_template(video, opaque=True)
            muxer.size = (video.codec_context.width, video.codec_context.height)
            muxer.begin(packet.pts)
        assert muxer.origin is not None
        if packet.pts < muxer.origin:
            return  # a picture shown before the key frame that it follows needs what was cut off
        copy_packet(muxer, packet)
        self.passage.work.packets_copied += 1


def copy_packet(muxer: ClipMuxer, packet: Packet) -> None:
    """Put a packet of the source, bit for bit, into a clip."""
    import av

    assert muxer.origin is not None
    pts, duration = (packet.pts or 0) - muxer.origin, packet.duration or 0
    copy: Packet = av.Packet(packet)  # type: ignore[arg-type]  # shares its bytes
    copy.time_base = muxer.time_base
    copy.pts, copy.dts = pts, (order(packet) or 0) - muxer.origin
    copy.is_keyframe = packet.is_keyframe
    muxer.note_duration(pts, duration)
    muxer.copied_frames += 1
    muxer.take_picture(copy)
