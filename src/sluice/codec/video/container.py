"""Opens a view of video: the file behind it, its streams, its clock; every error of FFmpeg is translated here."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from sluice.codec.limits import current_limits
from sluice.codec.video.promise import check_whole
from sluice.errors import MissingError, StorageError, UnreadableError
from sluice.sample.media import Media
from sluice.storage import Location, locate

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container.input import InputContainer
    from av.video.stream import VideoStream

_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpegts,mpeg,mpegvideo,m4v,h261,h263,h264,hevc,vvc,obu,av1,"
    "ivf,ogg,mxf,nut,rm,dv,wtv,gif,yuv4mpegpipe,mjpeg,swf,live_flv"
)
"""Containers of one file. Playlists (HLS, DASH, concat) are not among them: hostile ones name other files and hosts."""
_LOCAL_BUFFER_BYTES = 1 << 18
_FAR_BUFFER_BYTES = 1 << 20  # one request to an object store
_SEEKABLE = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv"})

_threads = 1  # of one decoder: workers are processes, as many as there are cores


def decoder_threads() -> int:
    """How many threads one decoder of this process may have."""
    return _threads


@contextmanager
def with_decoder_threads(count: int) -> Iterator[None]:
    """Let one decoder of this process have so many threads for a while (0: as many as FFmpeg likes)."""
    global _threads
    former, _threads = _threads, count
    try:
        yield
    finally:
        _threads = former


class Source:
    """An opened source: its container, its video stream (None where it has but sound) and its sound.

    The video stream is the default one, of several the largest; pictures attached to sound are no video.
    """

    def __init__(self, media: Media, container: InputContainer) -> None:
        self.media, self.container = media, container
        self.video: VideoStream | None = _video(container)
        self.audio: AudioStream | None = _audio(container, self.video)

    @property
    def is_seekable(self) -> bool:
        """Whether a seek lands on a frame whose time is known exactly.

        Not so in raw streams and MPEG program streams (times are guessed from the start), in AVI with B-frames (it has
        no times of presentation), and in containers that nobody has shown it of: those are decoded from their start.
        """
        if self.has_decoding_times_only:
            return self.video is not None and not self.video.codec_context.has_b_frames
        return self.container.format.name in _SEEKABLE

    @property
    def is_iso(self) -> bool:
        """Whether it is MP4 or one of its kin, which have an index of every sample."""
        return self.container.format.name.startswith("mov,")

    @property
    def has_decoding_times_only(self) -> bool:
        """Whether the container stores no times of presentation (AVI): frames then take those of decoding, in order."""
        return self.container.format.name == "avi"

    def rewind(self) -> bool:
        """Go back to the very first packet of a file that has an index of all; from there on none is parsed.

        False where it has none, and nothing was done. Not parsed, a packet is a key frame where the index says so.
        """
        from av.container import Flags

        if not self.is_iso or self.video is None or not len(self.video.index_entries):
            return False
        first = self.video.index_entries[0]
        if not first.is_keyframe or len(self.video.index_entries) != self.video.frames:
            return False
        container: Any = self.container
        container.flags |= Flags.no_parse.value | Flags.no_fillin.value
        with located():
            self.container.seek(first.timestamp, stream=self.video)
        return True

    def pictures(self) -> VideoStream:
        """The video stream. Raises UnreadableError (`no video stream`, `unsupported codec`) where there is none."""
        if self.video is None:
            raise UnreadableError("no video stream", "it has no pictures that move")
        if self.video.codec_context is None:
            raise UnreadableError("unsupported codec", "FFmpeg has no decoder for its video")
        return self.video


@contextmanager
def opened(media: Media) -> Iterator[Source]:
    """The source behind a view, whole; spans and crops are left to the caller.

    Raises UnreadableError with the reason `empty file`, `not a video`, `truncated`, `corrupt`, and LimitError where
    its pictures are larger than allowed; StorageError where the bytes are not there any more.
    """
    av = _av()
    with _file(media) as (file, name):
        check_whole(file)
        file.seek(0)
        options = {"max_pixels": str(current_limits().video_px), "format_whitelist": _FORMATS}
        with _recognised():
            container = av.open(
                name or file,
                options=options,
                metadata_errors="replace",
                buffer_size=_LOCAL_BUFFER_BYTES if _is_near(media) else _FAR_BUFFER_BYTES,
            )
        with container:
            source = Source(media, container)
            if source.video is not None and source.video.codec_context is not None:
                context = source.video.codec_context
                current_limits().check_video_size(context.width, context.height)
            yield source


@contextmanager
def _recognised() -> Iterator[None]:
    """Turns what FFmpeg says of a file that it cannot open into UnreadableError."""
    import av.error

    try:
        yield
    except (av.error.InvalidDataError, av.error.ArgumentError, av.error.EOFError) as error:
        raise UnreadableError("not a video", _said(error)) from error
    except av.error.FFmpegError as error:
        raise UnreadableError("corrupt", _said(error)) from error


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingError("videos need PyAV", fix="pip install 'sluice[video]'") from error
    return av


def _is_near(media: Media) -> bool:
    return media.data is not None or locate(media.uri).is_local


@contextmanager
def _file(media: Media) -> Iterator[tuple[BinaryIO, str]]:
    """The view as a seekable file; and its name, where it is a whole local file, for FFmpeg to open by itself."""
    if media.data is not None:
        yield io.BytesIO(media.data), ""
        return
    if not media.uri:
        raise StorageError("a media view without location or bytes was read")
    place = locate(media.uri)
    whole = media.offset is None
    with place.open() if whole else cast(BinaryIO, _opened_range(media, place)) as file:
        yield file, f"file:{os.fspath(place.path)}" if whole and place.is_local else ""


def _opened_range(media: Media, place: Location) -> Any:
    if not place.is_local:
        return media.open()
    if media.size is None:
        raise StorageError(f"a byte range at {media.offset} has no size", where=media.uri)
    with place.open() as file:
        return _LocalRange(os.dup(file.fileno()), media.offset or 0, media.size)


class _LocalRange(io.RawIOBase):
    """A byte range of a local file, as a file of its own."""

    def __init__(self, fd: int, start: int, size: int) -> None:
        self._fd, self._start, self._size, self._at = fd, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        data = os.pread(self._fd, left if size < 0 else min(size, left), self._start + self._at)
        self._at += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


def _video(container: InputContainer) -> VideoStream | None:
    from av.stream import Disposition

    stills = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    moving = [s for s in container.streams.video if not s.disposition & stills]

    def rank(stream: VideoStream) -> tuple[bool, bool, int, int]:
        context = stream.codec_context
        pixels = context.width * context.height if context is not None else 0
        return context is not None, bool(stream.disposition & Disposition.default), pixels, -stream.index

    return max(moving, key=rank, default=None)


def _audio(container: InputContainer, video: VideoStream | None) -> AudioStream | None:
    found = container.streams.best("audio", related=video) or next(iter(container.streams.audio), None)
    return cast("AudioStream | None", found)


class located:  # noqa: N801 - reads as a word where it is used; a class, as it is entered for every packet
    """Turns what FFmpeg says into UnreadableError."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        import av.error

        if isinstance(error, av.error.EOFError):
            raise UnreadableError("truncated", _said(error)) from error
        if isinstance(error, av.error.FFmpegError):
            raise UnreadableError("corrupt", _said(error)) from error


def _said(error: Any) -> str:
    """What FFmpeg says of it, without the name of the file."""
    said = str(error.strerror or error)
    return f"{said}: {error.log[2]}" if error.log else said


def seconds(pts: int, time_base: Fraction) -> float:
    """Ticks as seconds, rounded once."""
    return pts * time_base.numerator / time_base.denominator


_SLACK_S = Fraction(1, 1_000_000)


def first_tick(time_s: float, time_base: Fraction) -> int:
    """The first tick at or after a time, where a microsecond before counts as at.

    Times are float64 made from ticks: a unit in their last place must not shift a frame.
    """
    ticks = (Fraction(time_s) - _SLACK_S) / time_base
    return -(-ticks.numerator // ticks.denominator)
