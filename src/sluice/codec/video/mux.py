"""A clip on its way into a file: its streams, what went into it, and the check that the file says the same."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.codec.video.boxes import top_boxes
from sluice.codec.video.clip import ClipFile, ClipSettings, ClipSpan, Mode, PtsSpan
from sluice.codec.video.container import located
from sluice.codec.video.passage import Passage
from sluice.codec.video.sound import CopiedSound, EncodedSound, copies
from sluice.errors import SampleError, StorageError, UnreadableError
from sluice.sample.media import Media

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from sluice.codec.video.passage import CodedSound, Packet

_FOREVER_S = 10**9
_BUFFER_BYTES = 1 << 18
_DISK = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES}


class ClipMuxer:
    """One MP4 being written at `path`. Streams are added first, then packets; `finish` closes and checks it.

    Times given here are the source's PTS; in the file the first frame is at 0.
    """

    def __init__(
        self, path: Path, span: ClipSpan, pts: PtsSpan, passage: Passage, settings: ClipSettings
    ) -> None:
        import av

        self.path, self.span, self.pts, self.settings = path, span, pts, settings
        self.mode: Mode = settings.mode
        self.fallback_reason: str | None = None
        self._source = passage.facts
        self.time_base, self._first_pts = passage.time_base, passage.first_pts
        self._writing = writing(path)
        with self._writing:
            # Without `bitexact` the version of FFmpeg would stand in the file; an open file is not to be bothered with
            # every packet.
            options = {"fflags": "+bitexact", "flush_packets": "0"}
            self.container = av.open(
                self._target(), "w", format="mp4", container_options=options, buffer_size=_BUFFER_BYTES
            )
        self.video: Any = None
        self.size: tuple[int, int] = (0, 0)
        self.origin: int | None = None
        self.sound: CopiedSound | EncodedSound | None = None
        self._audio = passage.audio if settings.audio != "drop" else None
        self._early: list[CodedSound | AudioFrame] = []
        self._shown = array("q")
        self._last_pts = self._last_ticks = 0
        self._first_dts: int | None = None
        self.copied_frames = 0

    def _target(self) -> Any:
        """What is written to: a file's name, or an open file."""
        return str(self.path)

    def _written(self) -> Media:
        """Where the closed file lies."""
        return Media(str(self.path), 0, self.path.stat().st_size)

    def begin(self, origin: int) -> None:
        """The PTS of the first frame is known, and so are the streams: the sound's is added."""
        self.origin = origin
        if self._audio is not None:
            kind = CopiedSound if copies(self._audio, self.settings.audio) else EncodedSound
            start = origin * self.time_base
            end = start + _FOREVER_S if self.pts.end is None else self.pts.end * self.time_base
            self.sound = kind(self.container, self._audio, start, end)

    def take_sound(self, parts: Sequence[CodedSound | AudioFrame]) -> None:
        """Packets of the source's sound, or frames of it where it is encoded anew."""
        if self._early:
            self._take_early()
        if self.sound is not None:
            with self._writing:
                self.sound.take(parts)  # type: ignore[arg-type]
        elif self._audio is not None:
            self._early += parts

    def _take_early(self) -> None:
        """The sound that came before the first picture was known: of a group of pictures at most."""
        if self.sound is not None:
            early, self._early = self._early, []
            self.take_sound(early)

    def note_duration(self, pts: int, ticks: int) -> None:
        """How long the frame at `pts` of the clip is shown, both in ticks of the source."""
        if pts >= self._last_pts:
            self._last_pts, self._last_ticks = pts, ticks

    def take_picture(self, packet: Packet) -> None:
        """A coded picture of the video stream, in order of decoding; times are the clip's, in ticks of the source."""
        pts, dts = packet.pts, packet.dts
        assert pts is not None
        assert dts is not None
        if self._first_dts is None:
            self._first_dts = dts
        self._shown.append(pts)
        # MP4 keeps when each picture is decoded; the duration of the last one says how long the clip is shown, and
        # any may be the last.
        packet.duration = max(0, self._last_pts + self._last_ticks - (dts - self._first_dts))
        packet.stream = self.video
        with self._writing:
            self.container.mux_one(packet)
        if self._early:
            self._take_early()

    def finish(self) -> ClipFile:
        """Close the file and compare it with what went into it. `SampleError` where it is not what it should be."""
        self._pictures_end()
        if not self._shown or self.origin is None:
            raise UnreadableError("no frames", "no frame of the source lies in the span")
        with self._writing:
            if self.sound is not None:
                self.sound.finish()
            self.container.close()
            written = self._written()
        found = self._checked(written)
        last_pts, duration = self._last_pts, self._last_ticks
        return ClipFile(
            span=self.span,
            path=self.path if written.data is None else None,
            mode_used=self.mode,
            fallback_reason=self.fallback_reason,
            start_s=float((self.origin - self._first_pts) * self.time_base),
            end_s=float((self.origin + last_pts + duration - self._first_pts) * self.time_base),
            first_pts=self.origin,
            last_pts=self.origin + last_pts,
            width_px=self.size[0],
            height_px=self.size[1],
            frame_count=len(self._shown),
            copied_frame_count=self.copied_frames,
            duration_s=float((last_pts + duration) * self.time_base),
            audio_codec=self.sound.codec if self.sound is not None else None,
            size_bytes=written.size or 0,
            source=self._source,
            media=written,
            **found,
        )

    def _pictures_end(self) -> None:
        """No picture comes any more."""

    def _checked(self, written: Media) -> dict[str, Any]:
        """Codec, pixel format and frame rate as the file tells them; the rest must be what was written."""
        import av

        with written.open() as file:
            top_boxes(file)
        with located(), av.open(str(self.path)) as container:
            video = container.streams.video[0]
            check_same("frame count", video.frames, len(self._shown))
            check_same("resolution", (video.width, video.height), self.size)
            self._check_duration(Fraction(video.duration or 0) * (video.time_base or 0))
            packets = (p for p in container.demux(video) if p.size)
            ticks = sorted(round((p.pts or 0) * p.time_base / self.time_base) for p in packets)
            check_same("times of the frames", ticks, sorted(self._shown))
            return self._told(video.codec_context)

    def _check_duration(self, told: Fraction) -> None:
        """`told`: seconds of the track in the file."""
        wanted = (self._last_pts + self._last_ticks) * self.time_base
        # A track is as long as it is decoded: where the rate changes, by the lead of decoding more or less.
        lead = -min(0, self._first_dts or 0)
        if abs(told - wanted) > max(self._last_ticks, lead, 1) * self.time_base:
            raise UnreadableError("wrong duration", f"{float(told)} s in the file, {float(wanted)} s written")

    def _told(self, context: Any) -> dict[str, Any]:
        seconds = float((self._last_pts + self._last_ticks) * self.time_base)
        return {
            "video_codec": context.codec.canonical_name,
            "pixel_format": context.pix_fmt or "",
            "fps": len(self._shown) / seconds if seconds > 0 else 0.0,
        }

    def discard(self) -> None:
        """Give the clip up: nothing of it stays."""
        self.path.unlink(missing_ok=True)


def check_same(what: str, found: object, wanted: object) -> None:
    """Raise UnreadableError where a file is not what went into it."""
    if found != wanted:
        raise UnreadableError(f"wrong {what}", f"the file has {found}, but {wanted} went into it"[:300])


class writing:  # noqa: N801 - reads as a word where it is used; a class, as it is entered for every packet
    """Turns what FFmpeg says while writing: a full or failing disk ends the run, anything else fails the clip."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, SampleError):
            return
        from av.error import FFmpegError

        if isinstance(error, OSError) and error.errno in _DISK:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            what = "no space left on the device" if full else str(error)
            raise StorageError(what, where=str(self._path), fix="free some space and run again") from error
        if isinstance(error, FFmpegError | ValueError):
            raise UnreadableError("cannot be written", str(error)) from error
