"""How loud is each tenth of a second of a video's sound?"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluice.operator import Field, track

STEP_S = 0.1
"""Seconds between rows: the step of BS.1770-4's gating blocks, of which each is four long."""

_RATE_HZ = 48_000  # the one that BS.1770-4 gives its coefficients for; tracks are given no other
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))

_UNHEARD = frozenset({"LFE", "LFE2"})
_SIDES, _BACK = frozenset({"SL", "SR"}), frozenset({"BL", "BR", "BC"})
_SURROUND_WEIGHT = 1.41


class Sound(NamedTuple):
    """One step of 0.1 s."""

    power: Annotated[float | None, Field(unit="of full scale squared", ge=0)]
    mean_square: Annotated[float, Field(unit="of full scale squared", ge=0)]


@track(version=1, sees="audio", libraries=("numpy",))
class video_sound:  # noqa: N801 - an operator's name is its class's
    """What loudness and silence are told by, for every 0.1 s of source time with any sound in it.

    `power`: mean square of the K-weighted samples, summed over the channels, as ITU-R BS.1770-4 says: 1.41 times those
    at the sides (in 5.1 the surround channels), without those for low-frequency effects, once the others. Null where
    the sound does not fill the step. `mean_square`: that of the loudest channel without any weighting, its mean left
    out, since nobody hears a constant offset; where sound is missing it counts as zeros.
    """

    def start(self, info: Any) -> None:
        """A new source: silence comes before its first sound."""
        self._before: Any = None

    def __call__(self, block: Any) -> Sound:
        """One row for each block of 0.1 s."""
        samples = block.samples.T.astype(np.float64)
        heard = _weighted(np.concatenate([self._tail(block), samples], axis=1))
        self._before = block
        power = float(np.dot(_weights(block.channels), np.square(heard).mean(axis=1)))
        return Sound(None if block.missing else power, float(samples.var(axis=1).max()))

    def _tail(self, block: Any) -> NDArray[np.float64]:
        """The block before, which still rings in the filters; zeros where there was no sound."""
        before = self._before
        if before is None or block.time_s - before.time_s > 1.5 * STEP_S:
            return np.zeros(block.samples.T.shape)
        return np.asarray(before.samples.T, np.float64)


def _weighted(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The second half [channels, n / 2] of `samples` [channels, n] after both filters.

    By a cyclic convolution over two blocks: in one block the filters' response falls below 1e-10 of its beginning.
    """
    count = samples.shape[1]
    spectrum = np.fft.rfft(samples) * _response(count)
    return np.asarray(np.fft.irfft(spectrum, count)[:, count // 2 :])


@cache
def _response(count: int) -> NDArray[np.complex128]:
    """K-weighting at the frequencies of a real transform of `count` samples: a high shelf, then a high pass."""
    delay = np.exp(-2j * np.pi * np.arange(count // 2 + 1) / count)
    filters = [np.polyval(a[::-1], delay) / np.polyval(b[::-1], delay) for a, b in (_SHELF, _HIGH_PASS)]
    return np.asarray(filters[0] * filters[1])


def _weights(channels: tuple[str, ...]) -> NDArray[np.float64]:
    """BS.1770-4, table 4: 1.41 at 60 to 120 degrees, where back channels are if there are none at the sides."""
    surround = _SIDES if _SIDES & set(channels) else _BACK
    return np.array([0.0 if c in _UNHEARD else _SURROUND_WEIGHT if c in surround else 1.0 for c in channels])
