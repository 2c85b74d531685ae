"""How many frames of videos this process has decoded, whatever for."""

from __future__ import annotations

_frames = 0


def count_frame() -> None:
    """A frame came out of a decoder."""
    global _frames
    _frames += 1


def frames_decoded() -> int:
    """Frames that have come out of decoders so far."""
    return _frames
