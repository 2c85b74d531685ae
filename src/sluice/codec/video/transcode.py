"""Clips of which every frame is encoded: exact, in square pixels, upright, cropped."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from sluice.codec.video.clip import ClipSettings, ClipSpan
from sluice.codec.video.cutting import Clip, PacketCutting
from sluice.codec.video.encode import PictureEncoder, Shape, shape_of
from sluice.codec.video.passage import PictureDecoder, Shown
from sluice.errors import SampleError, UnreadableError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from sluice.codec.video.passage import Packet


@dataclass(frozen=True, slots=True)
class Look:
    """What of a source an encoder has to know: pixel aspect, frames per second, bits per pixel."""

    sample_aspect_ratio: Fraction
    rate: Fraction
    bits_per_px: float | None

    def shape(self, frame: VideoFrame, span: ClipSpan) -> Shape:
        """The shape of a clip's frames."""
        return shape_of(frame, self.sample_aspect_ratio, span.crop)

    def bitrate_bps(self, shape: Shape, settings: ClipSettings) -> int | None:
        """The bitrate to aim at, None where constant quality is asked for."""
        if settings.bitrate == "match":
            if self.bits_per_px is None:
                raise UnreadableError("bitrate unknown", "the source does not tell its bitrate")
            width, height = shape.even
            return max(1000, round(self.bits_per_px * width * height * self.rate))
        return settings.bitrate


class Transcoding(PacketCutting):
    """Decodes what the clips need, each frame once, and encodes it into all clips that it belongs to."""

    look: Look

    def __init__(self, *args: object, look: Look) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.look = look
        self._usual = max(1, round(1 / (look.rate * self.passage.time_base)))
        self._decoder = PictureDecoder(self.passage)
        self._encoders: dict[int, PictureEncoder] = {}

    def picture(self, packet: Packet) -> None:
        """Decode, where something is still wanted."""
        running = [c for c in self.active if not c.pictures_done]
        if not running and not self.waiting:
            return
        wanted_from = None if running else self.waiting[0].start
        try:
            for shown in self._decoder.offer(packet, wanted_from):
                self._frame(shown)
        except UnreadableError as error:
            self._broken(error)

    def end(self) -> None:
        """Take what the decoder holds, and what the encoders hold."""
        try:
            for shown in self._decoder.drain():
                self._frame(shown)
        except UnreadableError as error:
            self._broken(error)
        for clip in [c for c in self.active if not c.pictures_done]:
            self._pictures_end(clip)

    def _broken(self, error: UnreadableError) -> None:
        """Pictures that cannot be decoded: the clips that they belong to fail, later ones may be whole."""
        self._decoder.restart()
        for clip in [c for c in self.active if not c.pictures_done]:
            self._encoders.pop(clip.number, None)
            self.fail(clip, error)

    def _frame(self, shown: Shown) -> None:
        self.begin(shown.pts)
        for clip in [c for c in self.active if not c.pictures_done]:
            try:
                if clip.after(shown.pts):
                    self._pictures_end(clip)
                else:
                    self._encode(clip, shown)
            except SampleError as error:
                self._encoders.pop(clip.number, None)
                self.fail(clip, error)

    def _encode(self, clip: Clip, shown: Shown) -> None:
        pts, _, frame = shown
        if frame.is_corrupt:
            raise UnreadableError("corrupt", "a picture can be decoded only by guessing")
        encoder = self._encoders.get(clip.number)
        muxer = clip.muxer
        if encoder is None:
            shape = self.look.shape(frame, clip.span)
            encoder = PictureEncoder(
                muxer.container,
                frame,
                shape,
                self.settings,
                rate=self.look.rate,
                time_base=self.passage.time_base,
                bitrate_bps=self.look.bitrate_bps(shape, self.settings),
            )
            self._encoders[clip.number] = encoder
            muxer.video, muxer.size = encoder.stream, shape.even
            muxer.begin(pts)
        assert muxer.origin is not None
        duration = shown_for(shown, clip, self._usual)
        self.passage.work.frames_encoded += 1
        muxer.note_duration(pts - muxer.origin, duration)
        for packet in encoder.encode(frame, pts - muxer.origin, duration):
            muxer.take_picture(packet)

    def _pictures_end(self, clip: Clip) -> None:
        clip.pictures_done = True
        encoder = self._encoders.pop(clip.number, None)
        if encoder is not None:
            for packet in encoder.flush():
                clip.muxer.take_picture(packet)


def shown_for(shown: Shown, clip: Clip, usual: int) -> int:
    """How long a frame is shown in a clip, in ticks; `usual` is how long frames of this source are shown.

    A frame that stays for longer than the rate has it (a slide) is cut off at the clip's end.
    """
    if clip.pts.end is None:
        return shown.ticks
    return min(shown.ticks, max(usual, clip.pts.end - shown.pts))
