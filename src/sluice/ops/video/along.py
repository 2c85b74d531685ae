"""What measures take of a track: the values along a clip, or the reason why there is nothing to reduce."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined
from sluice.operator import Span


def values(track: Span, name: str) -> NDArray[Any]:
    """The values of one field along a clip, frames without one left out. Declined with `no frames` where none has."""
    found = track[name]
    known = found[~np.isnan(found)] if found.dtype.kind == "f" else found
    if not len(known):
        raise Declined("no frames", f"{track.duration_s:.3f} s hold no frame that was measured")
    return known


def changes(track: Span, name: str) -> NDArray[Any]:
    """The values that tell of a frame and the one before it, for frames whose neighbour lies in the clip too.

    Declined with `one frame` where there is no such pair.
    """
    found = track[name][1:]
    known = found[~np.isnan(found)] if found.dtype.kind == "f" else found
    if not len(known):
        raise Declined("one frame", f"{track.duration_s:.3f} s hold no two frames that were compared")
    return known
