"""Operators of images over the frames of clips: each frame a picture, decoded when its turn comes, and let go again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

from sluice.errors import UnavailableError
from sluice.operator.frames import Frames
from sluice.operator.instance import Instance
from sluice.operator.scope import ScopeProgram, mark_of
from sluice.operator.step import FRAME, Cell, Run, as_note
from sluice.sample import Media, Note, Sample

TOGETHER = 64
"""Frames of one clip or several whose values wait for a batched step (a model) together; pixels do not wait."""

_Clip = tuple[int, int]  # row of the sample, index of its item


class FrameProgram(ScopeProgram):
    """The steps of one choice of frames. What it makes of a clip is a list with the value of each frame.

    None stands for a frame that has none; a note in the place of the list for a clip that cannot be decoded, one of
    whose frames an operator failed on, or whose frames all have no value.
    """

    def __init__(self, frames: Frames, instances: Sequence[Instance], lent: set[str]) -> None:
        super().__init__("frame", instances, lent)
        self._frames = frames

    def measured(
        self, samples: Sequence[Sample], made: dict[str, list[Any]], run: Run
    ) -> dict[str, list[Any]]:
        """By the mark of each step that is asked for one entry a sample: a list with what each clip of it has."""
        inside = run.apart()  # what is noted of single frames; a clip has one reason
        values: dict[str, dict[_Clip, list[Any]]] = {mark_of(step.instance): {} for step in self.given()}
        failed: dict[_Clip, Note] = {}
        waiting: list[Cell] = []
        for cell in self._decoded(samples, inside, failed):
            if not self.segments[0].batched:
                self.segments[0].run_one(cell, inside)
            waiting.append(cell)
            if len(waiting) == TOGETHER:
                self._finish(waiting, inside, values)
                waiting = []
        self._finish(waiting, inside, values)
        noted: set[int] = set()
        return {
            mark: [
                [
                    _settled(failed.get((row, index)) or found.get((row, index), []), row, run, noted)
                    for index, _ in sample.of("video")
                ]
                for row, sample in enumerate(samples)
            ]
            for mark, found in values.items()
        }

    def _decoded(self, samples: Sequence[Sample], run: Run, failed: dict[_Clip, Note]) -> Iterator[Cell]:
        """One cell a frame, clip after clip; a clip that cannot be decoded to its end is noted as failed."""
        first = self.steps[0]
        for row, sample in enumerate(samples):
            for index, item in sample.of("video"):
                clip = Cell(row, item, index, [])
                if item.media is None:
                    failed[row, index] = Note(
                        "unreadable", "no bytes", "the item has no media", "read", index
                    )
                    continue
                try:
                    for frame in self._timed(item.media, row, run):
                        slots: list[Any] = [None] * self._size
                        slots[FRAME] = frame
                        yield Cell(row, item, index, slots)
                except UnavailableError:
                    raise  # no sample's doing
                except Exception as error:  # noqa: BLE001 - whatever a decoder raises becomes this item's counted failure
                    failed[row, index] = as_note(error, first.name, clip)

    def _timed(self, media: Media, row: int, run: Run) -> Iterator[Any]:
        """The clip's frames; the time that decoding takes is that of the first step."""
        first, frames = self.steps[0], self._frames.of(media)
        while True:
            run.begin(row, first.code)
            then = perf_counter()
            frame = next(frames, None)
            run.seconds[first.number] += perf_counter() - then
            if frame is None:
                return
            yield frame

    def _finish(self, cells: list[Cell], run: Run, values: dict[str, dict[_Clip, list[Any]]]) -> None:
        for segment in self.segments if self.segments[0].batched else self.segments[1:]:
            segment.run(cells, run)
        for step in self.given():
            found = values[mark_of(step.instance)]
            for cell in cells:
                found.setdefault((cell.row, cell.index), []).append(cell.slots[step.output])


def _settled(values: list[Any] | Note, row: int, run: Run, noted: set[int]) -> list[Any] | Note:
    """A clip's values, None where a frame has none; or the note, kept once, that says why the clip has none."""
    if isinstance(values, list):
        notes = [value for value in values if type(value) is Note]
        worst = next((note for note in notes if note.kind != "declined"), None)
        if worst is None and len(notes) < len(values):
            return [None if type(value) is Note else value for value in values]
        values = worst or notes[0]
    if id(values) not in noted:
        noted.add(id(values))
        run.notes[row].append(values)
    return values
