"""Clips whose coded pictures are copied as they are, from the key frame at or before the start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sluice.codec.video.clip import ClipSpan
from sluice.codec.video.copy_mux import CopyMuxer
from sluice.codec.video.cutting import Clip, Cutting
from sluice.errors import SampleError, UnreadableError

if TYPE_CHECKING:
    from sluice.codec.video.passage import Coded, CodedSound

MP4_CODECS = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"})
"""Codecs whose coded pictures MP4 holds in a way that common readers know."""

_HELD_BYTES = 256 << 20
_RUN_S = 0.5  # muxers bring sound and pictures in order that are closer than ten seconds
_ALWAYS, _NEVER = 1 << 62, -(1 << 62)  # beyond every PTS


def no_copy(video: Any) -> str | None:
    """Why the pictures of this stream cannot be copied into MP4, None where they can."""
    codec: str = video.codec_context.codec.canonical_name
    return None if codec in MP4_CODECS else f"MP4 does not hold {codec}"


class CopiedClip(Clip):
    """A clip under way with, at its end, the packets of which it is not yet known whether it needs them."""

    muxes = CopyMuxer

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._begun = False
        self._tail: list[Coded] = []
        self._plain_from, self._plain_until = 0, _NEVER
        """Pictures that are shown between these PTS are copied without further thought."""

    def take(self, run: Sequence[Coded]) -> None:
        """Take the packets that come next, in order of decoding, as far as they are the clip's."""
        shown = [pts for _, pts, _, _ in run]
        if self._plain_from <= min(shown) and max(shown) < self._plain_until:
            self._copy(run)
            return
        for coded in run:
            if not self.pictures_done:
                self._take_one(coded)

    def _take_one(self, coded: Coded) -> None:
        """Copy a packet, keep it until it is known whether it is needed, or end the clip."""
        packet, pts, dts, _ = coded
        if self._plain_from <= pts < self._plain_until:
            self._copy([coded])
        elif not self._begun:
            if packet.is_keyframe:
                self._begin(coded)
        elif self.after(pts if packet.is_keyframe else dts):
            self.end_pictures()
        elif self._tail or self.after(pts):
            self._plain_until = _NEVER
            self._tail.append(coded)
        # What is left is shown before the key frame that it follows, and needs what was cut off.

    def _begin(self, coded: Coded) -> None:
        _, pts, dts, _ = coded
        if self.after(pts):
            self.end_pictures()
            return
        muxer = self.muxer
        assert isinstance(muxer, CopyMuxer)
        muxer.begin_copy(self._passage.video, pts, dts)
        self._begun, self._copy = True, muxer.copy
        self._plain_from, self._plain_until = pts, _ALWAYS if self.pts.end is None else self.pts.end
        self._copy([coded])

    def end_pictures(self) -> None:
        """No picture comes any more."""
        self.pictures_done = True
        needed = [coded for coded in self._needed_tail() if coded[1] >= self._plain_from]
        if needed:
            self._copy(needed)
        self._tail = []

    def _needed_tail(self) -> list[Coded]:
        """The packets that complete the clip: all that its frames are made from, and no hole between frames.

        What comes before a frame of the clip in decoding order may be what that frame is made from, so that it is
        kept, and then every frame shown before it.
        """
        end = self.pts.end
        shown = [pts for _, pts, _, _ in self._tail]
        count = 0
        if end is None:
            return self._tail
        limit = end
        while True:
            last = max((k for k, pts in enumerate(shown) if pts < limit), default=-1)
            if last + 1 <= count:
                return self._tail[:count]
            count = last + 1
            limit = max(limit, max(shown[:count]) + 1)


class Copying(Cutting):
    """Copies packets. The span of a clip grows to what decoding calls for; the true one is told."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._copying: list[CopiedClip] = []
        self._group: list[Coded] = []
        self._group_bytes = 0
        self._recent_sound: list[CodedSound] = []

    def make(self, number: int, span: ClipSpan) -> Clip:
        """Clips with a tail."""
        return CopiedClip(number, span, self.passage, self.folder, self.settings)

    def steps(self) -> Iterator[None]:
        """Give runs of packets to the clips under way, and hold their group for those that begin in it.

        A clip begins once no later key frame can be the last one at or before its start.
        """
        for pictures, sounds in self.passage.runs(self.passage.ticks(_RUN_S)):
            if pictures and pictures[0][0].is_keyframe:
                self._new_group(pictures[0][1])
            self._give(pictures, sounds)
            if self.waiting:
                self._hold(pictures, sounds)
            yield

    def _new_group(self, pts: int) -> None:
        """A key frame: clips that begin before it begin with the group that it ends."""
        self._begin_with_group(pts - 1)
        self._group, self._group_bytes = [], 0
        ends = self.passage.in_video_ticks
        self._recent_sound = [s for s in self._recent_sound if ends(s[1] + s[2]) > pts]

    def _give(self, pictures: Sequence[Coded], sounds: Sequence[CodedSound]) -> None:
        for clip in self._copying if pictures else ():
            try:
                clip.take(pictures)
            except SampleError as error:
                self.fail(clip, error)
        self._copying = [c for c in self._copying if not c.pictures_done]
        self._give_sounds(sounds, self.active)

    def _give_sounds(self, sounds: Sequence[CodedSound], clips: Sequence[Clip]) -> None:
        """Give sounds to the clips that they belong to; those that copy it see to that themselves."""
        if self.sound_decoder is None:
            self.give_sound(sounds, clips)
            return
        for coded in sounds:
            begins = self.passage.in_video_ticks(coded[1])
            self.give_sound([coded], [c for c in clips if c in self.active and not c.after(begins)])

    def _hold(self, pictures: Sequence[Coded], sounds: Sequence[CodedSound]) -> None:
        self._group += pictures
        self._recent_sound += sounds
        self._group_bytes += sum([packet.size for packet, _, _, _ in pictures])
        if pictures:
            self._begin_with_group(pictures[-1][2])
        if self._group_bytes > _HELD_BYTES:
            self._group, self._recent_sound = [], []

    def _begin_with_group(self, pts: int) -> None:
        before = len(self.active)
        self.begin(pts)
        for clip in self.active[before:]:
            assert isinstance(clip, CopiedClip)
            if self._group_bytes > _HELD_BYTES:
                what = f"more than {_HELD_BYTES >> 20} MiB from one key frame to the next"
                self.fail(clip, UnreadableError("group of pictures too long", what))
                continue
            self._catch_up(clip)

    def _catch_up(self, clip: CopiedClip) -> None:
        """Give a clip what was held for it."""
        try:
            if self._group:
                clip.take(self._group)
        except SampleError as error:
            self.fail(clip, error)
            return
        if not clip.pictures_done:
            self._copying = [*self._copying, clip]
        self._give_sounds(self._recent_sound, [clip])

    def fail(self, clip: Clip, error: SampleError) -> None:
        """Give up a clip under way; the others go on."""
        self._copying = [c for c in self._copying if c is not clip]
        super().fail(clip, error)

    def end(self) -> None:
        """What is left belongs to the clips that have not ended."""
        if self.waiting:
            self._begin_with_group(self.waiting[-1].start)
        for clip in self._copying:
            try:
                clip.end_pictures()
            except SampleError as error:
                self.fail(clip, error)
