"""What all ways of cutting share: clips that wait, are under way and are done, in one passage over their source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from sluice.codec.video.clip import ClipFailure, ClipFile, ClipSettings, ClipSpan, PtsSpan, in_pts
from sluice.codec.video.mux import ClipMuxer
from sluice.codec.video.passage import FallbackError, Passage
from sluice.codec.video.sound import SoundDecoder, copies
from sluice.errors import SampleError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from sluice.codec.video.passage import CodedSound, Packet

Result = ClipFile | ClipFailure


class Clip:
    """One clip of a passage: what is wanted, and its file once something of it has come."""

    muxes: type[ClipMuxer] = ClipMuxer

    def __init__(
        self, number: int, span: ClipSpan, passage: Passage, folder: Path, settings: ClipSettings
    ) -> None:
        self.number, self.span = number, span
        pts = in_pts(span, passage.first_pts, passage.time_base)
        self.start = max(passage.first_pts, pts.start) if pts.start is not None else passage.first_pts
        self.pts = PtsSpan(self.start, pts.end)
        self.pictures_done = False
        self._muxer: ClipMuxer | None = None
        self._passage, self._path, self._settings = passage, folder / f"{number:06d}.mp4", settings

    @property
    def muxer(self) -> ClipMuxer:
        """Its file, opened when first asked for."""
        if self._muxer is None:
            self._muxer = self.muxes(self._path, self.span, self.pts, self._passage, self._settings)
        return self._muxer

    def after(self, pts: int) -> bool:
        """Whether a frame with this PTS comes after the clip."""
        return self.pts.end is not None and pts >= self.pts.end

    def finish(self) -> Result:
        """What it came to; nothing stays of a clip that failed."""
        try:
            return self.muxer.finish()
        except SampleError as error:
            return self.failed(error)

    def failed(self, error: SampleError) -> ClipFailure:
        """The clip is given up for this reason."""
        self.discard()
        return ClipFailure(self.span, error.reason, error.what)

    def discard(self) -> None:
        """Nothing of its file stays."""
        if self._muxer is not None:
            self._muxer.discard()


class Cutting(ABC):
    """One passage that cuts clips. Results come as clips end, as pairs of the clip's number and what it came to.

    A subclass takes what the passage gives; ends and leaps are seen to here.
    """

    def __init__(
        self, passage: Passage, spans: Sequence[tuple[int, ClipSpan]], folder: Path, settings: ClipSettings
    ) -> None:
        self.passage, self.settings, self.folder = passage, settings, folder
        clips = [self.make(number, span) for number, span in spans]
        self.waiting = deque(sorted(clips, key=lambda c: (c.start, c.number)))
        self.active: list[Clip] = []
        encodes_sound = (
            passage.audio is not None
            and settings.audio != "drop"
            and not copies(passage.audio, settings.audio)
        )
        self.sound_decoder = SoundDecoder(passage.audio) if encodes_sound else None
        self._results: list[tuple[int, Result]] = []
        self.fallbacks: dict[int, str] = {}
        """Clips that have to be cut in another way, and why; they have no result."""

    def make(self, number: int, span: ClipSpan) -> Clip:
        """A clip of the kind that this way of cutting needs."""
        return Clip(number, span, self.passage, self.folder, self.settings)

    @abstractmethod
    def steps(self) -> Iterator[None]:
        """Take what the passage gives; a step ends where clips may end."""

    @abstractmethod
    def end(self) -> None:
        """The source is at its end: bring the pictures of all clips to theirs."""

    def run(self) -> Iterator[tuple[int, Result]]:
        """Go through the source once."""
        try:
            self._leap()
            for _ in self.steps():
                self._close()
                yield from self._taken()
                if not self.active:
                    if not self.waiting:
                        return
                    self._leap()
            self.end()
        except SampleError as error:  # the source itself can be read no further
            for clip in (*self.active, *self.waiting):
                self.result(clip, clip.failed(error))
            self.active.clear()
            self.waiting.clear()
        except FallbackError as error:
            for clip in (*self.active, *self.waiting):
                self.fall_back(clip, str(error))
        for clip in (*self.active, *self.waiting):
            self.result(clip, clip.finish())
        yield from self._taken()

    def result(self, clip: Clip, result: Result) -> None:
        """Note what a clip came to."""
        self._results.append((clip.number, result))

    def fail(self, clip: Clip, error: SampleError) -> None:
        """Give up a clip under way; the others go on."""
        self.active.remove(clip)
        self.result(clip, clip.failed(error))

    def fall_back(self, clip: Clip, reason: str) -> None:
        """Leave a clip to another way of cutting."""
        self.fallbacks[clip.number] = reason
        clip.discard()
        for clips in (self.active, self.waiting):
            if clip in clips:
                clips.remove(clip)

    def begin(self, pts: int) -> None:
        """Clips that begin at or before this PTS are under way from now on."""
        while self.waiting and self.waiting[0].start <= pts:
            self.active.append(self.waiting.popleft())

    def _leap(self) -> None:
        if self.waiting:
            self.passage.leap(self.waiting[0].start)

    def _taken(self) -> list[tuple[int, Result]]:
        taken, self._results = self._results, []
        return taken

    def give_sound(self, run: Sequence[CodedSound], clips: Sequence[Clip]) -> None:
        """Give packets of the sound to these clips, decoded once for those that encode it anew."""
        parts: Sequence[CodedSound | AudioFrame] = run
        if clips and self.sound_decoder is not None:
            parts = [frame for packet, _, _ in run for frame in self.sound_decoder(packet)]
        for clip in tuple(clips):
            try:
                clip.muxer.take_sound(parts)
            except SampleError as error:
                self.begin(clip.start)
                self.fail(clip, error)

    def _close(self) -> None:
        """Clips end whose pictures are done and whose sound is over."""
        for clip in [c for c in self.active if c.pictures_done]:
            if self.passage.sound_is_over(clip.pts.end):
                self.active.remove(clip)
                self.result(clip, clip.finish())


class PacketCutting(Cutting):
    """Takes packets one by one."""

    @abstractmethod
    def picture(self, packet: Packet) -> None:
        """Take a packet of the video stream."""

    def steps(self) -> Iterator[None]:
        """A packet each."""
        pictures = self.passage.video.index
        for packet in self.passage.packets():
            if packet.stream_index == pictures:
                self.picture(packet)
            else:
                self.sound(packet)
            yield

    def sound(self, packet: Packet) -> None:
        """Give a packet of the sound to the clips that it may belong to; each takes what is in its span."""
        pts, ticks = packet.pts, packet.duration or 0
        if pts is None:
            return
        begins, ends = self.passage.in_video_ticks(pts), self.passage.in_video_ticks(pts + ticks) + 1
        # Sound may come before the pictures that it belongs to.
        near = [*self.active, *takewhile(lambda clip: clip.start <= ends, self.waiting)]
        self.give_sound([(packet, pts, ticks)], [c for c in near if c.start <= ends and not c.after(begins)])
