"""Records tracks: one decode of a source video feeds all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from sluice.codec.video import VideoInfo, decode, even_blocks
from sluice.errors import OperatorError, SampleError, UnavailableError, UnreadableError
from sluice.operator import alive
from sluice.operator.instance import Instance
from sluice.operator.value import storable
from sluice.sample import Media

SOUND_RATE_HZ = 48_000
"""Sample rate of the sound that tracks are given: that of ITU-R BS.1770's filters."""
SOUND_BLOCK_S = 0.1
"""Length of its blocks, the step of BS.1770-4's gating blocks."""

_EARLY_S = 1e-6  # times are floating-point: a frame meant to be at a grid time may lie a rounding before it


def record(
    media: Media, info: VideoInfo, tracks: Sequence[Instance]
) -> tuple[dict[str, pa.Table | Exception], int]:
    """The tracks of one source by fingerprint, and how many frames were decoded for them.

    A table has `time_s` (seconds of the source, ascending) and one column a field. Where the source cannot be
    decoded to its end no track of it is worth anything: each is then the error. A track that raises is an error by
    itself, and the others go on. Sound that is not there makes tables without rows.
    """
    recorders = [_Recorder(each, info) for each in tracks]
    pictures = [r for r in recorders if r.sees != "audio"]
    sound = [r for r in recorders if r.sees == "audio"]
    frames = 0
    try:
        if pictures:
            frames = _watch(media, pictures)
    except UnreadableError as error:
        for recorder in pictures:
            recorder.trouble = recorder.trouble or error
    try:
        if sound and info.has_audio:
            _listen(media, sound)
    except UnreadableError as error:
        for recorder in sound:
            recorder.trouble = recorder.trouble or error
    return {r.mark: r.trouble or r.table() for r in recorders}, frames


def _watch(media: Media, recorders: Sequence[_Recorder]) -> int:
    vectors = any(r.motion_vectors for r in recorders)
    frames = 0
    for frame in decode(media, motion_vectors=vectors):
        frames += 1
        alive.waiting()  # each frame ends by itself, and limits bound how many there are
        for recorder in recorders:
            if recorder.wants(frame.time_s):
                recorder.see(frame.time_s, frame)
    for recorder in recorders:
        recorder.finish()
    return frames


def _listen(media: Media, recorders: Sequence[_Recorder]) -> None:
    for block in even_blocks(media, sample_rate_hz=SOUND_RATE_HZ, length_s=SOUND_BLOCK_S):
        alive.waiting()
        for recorder in recorders:
            recorder.see(block.time_s, block)
    for recorder in recorders:
        recorder.finish()


class _Recorder:
    """One track of one source under way."""

    def __init__(self, instance: Instance, info: VideoInfo) -> None:
        spec = instance.spec
        self.mark, self.sees, self.motion_vectors = instance.fingerprint, spec.sees, spec.motion_vectors
        self.trouble: Exception | None = None
        self._name, self._outputs = spec.name, spec.outputs
        self._fields = [o.name.removeprefix(f"{spec.name}_") for o in spec.outputs]
        self._fps = float(instance.settings["fps"]) if spec.sees == "grid" else 0.0
        self._next_s = -math.inf
        self._times: list[float] = []
        self._rows: list[list[Any]] = [[] for _ in spec.outputs]
        self._track = spec.target(**instance.settings)
        self._guarded(lambda: self._track.start(info))

    def wants(self, time_s: float) -> bool:
        """Whether a frame at this time is one of those it is to be given."""
        if self.trouble is not None:
            return False
        if self._fps == 0.0:
            return True
        if time_s + _EARLY_S < self._next_s:
            return False
        self._next_s = (math.floor((time_s + _EARLY_S) * self._fps) + 1) / self._fps
        return True

    def see(self, time_s: float, given: Any) -> None:
        """Give it a frame or a block of sound."""
        if self.trouble is None:
            self._guarded(lambda: self._add(time_s, self._track(given)))

    def finish(self) -> None:
        """Nothing comes any more: take the rows that had to wait for it."""
        if self.trouble is None and hasattr(self._track, "end"):
            self._guarded(self._add_last)

    def _add_last(self) -> None:
        for time_s, row in self._track.end():
            self._add(time_s, row)

    def _add(self, time_s: float, row: Any) -> None:
        if row is None:
            return
        values = row if isinstance(row, tuple) else (row,)
        stored = [
            None if value is None else storable(value, output)
            for value, output in zip(values, self._outputs, strict=True)
        ]
        self._times.append(time_s)
        for column, value in zip(self._rows, stored, strict=True):
            column.append(value)

    def _guarded(self, call: Any) -> None:
        try:
            call()
        except UnavailableError:
            raise  # no sample's doing
        except (MemoryError, SampleError) as error:
            self.trouble = error
        except Exception as error:  # noqa: BLE001 - whatever a track raises becomes its own counted failure
            self.trouble = OperatorError(f"{self._name}: {type(error).__name__}", str(error))

    def table(self) -> pa.Table:
        """What it has made."""
        columns = {"time_s": pa.array(self._times, pa.float64())}
        for name, output, values in zip(self._fields, self._outputs, self._rows, strict=True):
            columns[name] = pa.array(values, output.arrow)
        return pa.table(columns)
