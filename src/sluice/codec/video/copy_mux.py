"""A clip of pictures that are copied bit for bit: what is done for each of them is little, as there is nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from sluice.codec.video.draft import Draft
from sluice.codec.video.index import video_tables
from sluice.codec.video.mux import ClipMuxer, check_same
from sluice.sample.media import Media

if TYPE_CHECKING:
    from sluice.codec.video.passage import Coded


class CopyMuxer(ClipMuxer):
    """As `ClipMuxer`; pictures come by `copy`, once `begin_copy` said where they come from."""

    def _target(self) -> Draft:
        self._draft = Draft(self.path)
        return self._draft

    def _written(self) -> Media:
        self._draft.finish()
        data = self._draft.data
        return super()._written() if data is None else Media(size=len(data), data=data)

    def begin_copy(self, video: Any, pts: int, dts: int) -> None:
        """Pictures are those of the stream `video`; the first is shown at `pts` of the source and decoded at `dts`."""
        self._template = video
        self.video = self.container.add_stream_from_template(video, opaque=True)
        self.size = (video.codec_context.width, video.codec_context.height)
        self.begin(pts)
        with self._writing:
            self.container.start_encoding()
        self._rescales = self.video.time_base != self.time_base
        self._start, self._latest, self._end = pts, pts, pts
        self._lead, self._first_dts = pts - dts, dts - pts

    def copy(self, run: Sequence[Coded]) -> None:
        """The next pictures in order of decoding. The packets' own times are those of the clip afterwards."""
        shown = [pts for _, pts, _, _ in run]
        latest = max(shown)
        if latest >= self._latest:
            self._latest, self._end = latest, latest + run[shown.index(latest)][3]
        self._shown.extend(shown)
        packet, pts, dts, _ = run[-1]
        # As in `take_picture`; the last of these may be the last of all.
        run = [*run[:-1], (packet, pts, dts, max(0, self._end - dts - self._lead))]
        start, stream, mux, rescales = self._start, self.video, self.container.mux_one, self._rescales
        with self._writing:
            for packet, pts, dts, ticks in run:
                packet.pts, packet.dts, packet.duration = pts - start, dts - start, ticks
                packet.stream = stream
                if rescales:
                    packet.time_base = self.time_base
                mux(packet)

    def _pictures_end(self) -> None:
        if self.origin is not None:
            self._last_pts, self._last_ticks = self._latest - self._start, self._end - self._latest
            self.copied_frames = len(self._shown)

    def _checked(self, written: Media) -> dict[str, Any]:
        """By the tables of the file's index; codec and pixel format are the source's."""
        with written.open() as file:
            tables = video_tables(file)
        check_same("resolution", (tables.width_px, tables.height_px), self.size)
        check_same("frame count", len(tables.begins), len(self._shown))
        wanted = np.frombuffer(self._shown, np.int64) - self._start
        shown = tables.begins - tables.begins.min()
        if self._rescales:
            shown = np.rint(shown * float(1 / (tables.scale * self.time_base))).astype(np.int64)
        if not np.array_equal(shown, wanted):
            check_same("times of the frames", shown.tolist(), wanted.tolist())
        self._check_duration(Fraction(tables.duration, tables.scale))
        return self._told(self._template.codec_context)
