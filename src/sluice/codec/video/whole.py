"""A whole file as a clip: its bytes as they are, and what is told of it."""

from __future__ import annotations

from sluice.codec.video.clip import ClipFailure, ClipFile, ClipSpan, SourceFacts
from sluice.codec.video.info import probe
from sluice.errors import SampleError, StorageError
from sluice.sample import Media


def whole_clip(media: Media) -> ClipFile | ClipFailure:
    """The file as a clip without encoding or muxing; a `ClipFailure` where it is no video or is not whole."""
    try:
        info = probe(media)
    except SampleError as error:
        return ClipFailure(ClipSpan(), error.reason, error.what)
    except StorageError as error:
        return ClipFailure(ClipSpan(), "bytes not readable", str(error))
    frames = info.frame_count or round(info.duration_s * info.fps)
    last = (
        info.first_pts + round((info.duration_s - 1 / info.fps) / info.time_base)
        if info.fps
        else info.first_pts
    )
    return ClipFile(
        span=ClipSpan(),
        path=None,
        mode_used="copy",
        fallback_reason=None,
        start_s=0.0,
        end_s=info.duration_s,
        first_pts=info.first_pts,
        last_pts=last,
        width_px=info.width_px,
        height_px=info.height_px,
        frame_count=frames,
        copied_frame_count=frames,
        duration_s=info.duration_s,
        fps=info.fps,
        video_codec=info.codec,
        pixel_format=info.pix_fmt,
        audio_codec=info.audio.codec if info.audio is not None else None,
        size_bytes=media.size or 0,
        source=SourceFacts(
            info.stored_width_px, info.stored_height_px, info.fps, info.codec, info.bitrate_bps
        ),
        media=media,
        is_source=True,
    )
