"""Shot detection and all tracks of pictures beside a bare loop that only decodes and calls the same kernels.

    python benchmarks/video_pass.py [--data FOLDER] [--rounds 3]

The videos are those of FOLDER/videos in H.264 of five seconds and more, up to a million pixels. Both sides decode
every frame, with motion vectors, look at every frame for shots, brightness and camera motion and at two frames a
second for the rest; CPU time of one process, in turn. Then how often each source was decoded to be split twice and
measured, and the peak memory at 1 x and 10 x the length of one of them.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.codec.context import Flags2
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from sluice.codec.video import VideoInfo, probe
from sluice.codec.video.container import decoder_threads
from sluice.codec.video.motion_vectors import motion_vectors
from sluice.operator import Instance, Program, registry, tracks
from sluice.operator.splitting import Splitter
from sluice.sample import Item, Media, Sample

ROOT = Path(__file__).resolve().parents[1]
GRID_HZ = 2.0
LARGEST_PX, SHORTEST_S = 1_000_000, 5.0
MEMORY_TIMES = 10
AREA = Interpolation.AREA | 0x40000 | 0x2000  # with exact rounding and whole chroma


def sources(folder: Path) -> list[tuple[Path, VideoInfo]]:
    """The videos to measure, and what is known of them."""
    found = [(path, probe(Media(str(path)))) for path in sorted(folder.glob("*.mp4"))]
    return [
        (path, info)
        for path, info in found
        if info.codec == "h264"
        and info.duration_s >= SHORTEST_S
        and info.width_px * info.height_px <= LARGEST_PX
    ]


class BareFrame:
    """What tracks ask of a frame, straight from PyAV: neither turned nor cropped, 8 bits of limited range."""

    def __init__(
        self, image: Any, time_s: float, scalers: dict[tuple[int, int, str], VideoReformatter]
    ) -> None:
        self.image, self.time_s, self.pts, self._scalers = image, time_s, image.pts, scalers
        self._made: dict[tuple[int, int, str], Any] = {}

    @cached_property
    def luma(self) -> Any:
        """All of its luma."""
        plane = self.image.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        return full(rows[: self.image.height, : self.image.width])

    @property
    def stored_crop(self) -> tuple[int, int, int, int]:
        """All of it."""
        return 0, 0, self.image.width, self.image.height

    @property
    def motion_vectors(self) -> Any:
        """The codec's vectors."""
        return motion_vectors(self.image)

    def small(self, width: int, height: int) -> Any:
        """Luma scaled by area."""
        grey = {"dst_colorspace": Colorspace.ITU601, "src_color_range": 2, "dst_color_range": 2}
        return self._scaled((width, height, "gray"), **grey)

    def small_rgb(self, width: int, height: int) -> Any:
        """RGB scaled by area."""
        return self._scaled((width, height, "rgb24"))

    def _scaled(self, key: tuple[int, int, str], **colours: Any) -> Any:
        if key not in self._made:
            width, height, pixel_format = key
            scaler = self._scalers.setdefault(key, VideoReformatter())
            made = scaler.reformat(
                self.image,
                width,
                height,
                pixel_format,
                Colorspace.ITU601,
                interpolation=AREA,
                threads=1,
                **colours,
            ).to_ndarray()
            self._made[key] = full(made) if colours else made
        return self._made[key]


def full(stored: Any) -> Any:
    """Luma of the limited range in the full one."""
    above: Any = cv2.subtract(stored, 16.0)  # type: ignore[call-overload]
    return cv2.convertScaleAbs(above, alpha=255.0 / 219.0)


def bare(path: Path, info: VideoInfo) -> int:
    """Decode a video and call the tracks' kernels, nothing else; its number of frames."""
    made = [(t.spec.sees == "grid", t.spec.target(**t.settings)) for t in all_tracks()]
    for _, kernel in made:
        kernel.start(info)
    scalers: dict[tuple[int, int, str], VideoReformatter] = {}
    due, frames = -math.inf, 0
    rows: list[Any] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        context.thread_count, context.thread_type = decoder_threads(), "AUTO"
        context.flags2 |= Flags2.export_mvs
        for image in container.decode(stream):
            frames += 1
            frame = BareFrame(image, image.time or 0.0, scalers)
            is_due = frame.time_s >= due
            rows += [kernel(frame) for on_grid, kernel in made if is_due or not on_grid]
            if is_due:
                due = (math.floor(frame.time_s * GRID_HZ + 1e-6) + 1) / GRID_HZ
    rows += [row for _, kernel in made if hasattr(kernel, "end") for row in kernel.end()]
    return frames


def all_tracks() -> list[Instance]:
    """Every track of pictures that needs no weights."""
    known = registry()
    found = [spec for spec in known if spec.kind == "track" and spec.sees != "audio"]
    return [
        known.bind(spec.name)
        for spec in found
        if not any(field.is_required() for field in spec.settings.model_fields.values())
        and spec.name != "video_transnetv2"
    ]


def ours(path: Path) -> int:
    """Split a video by its shots, all tracks measured in the same decode; its number of frames."""
    tracks.use(None, all_tracks())
    before = tracks.decoded().frames
    Splitter(registry().bind("video_split_shots"))(sample(path))
    return tracks.decoded().frames - before


def sample(path: Path) -> Sample:
    """A video as readers give it."""
    return Sample(path.name, path.name, (Item("video", "video/mp4", "mp4", media=Media(str(path))),))


def cpu_s(call: Callable[[], Any]) -> float:
    """CPU seconds of this process, of all its threads."""
    started = time.process_time()
    call()
    return time.process_time() - started


def report_speed(videos: Sequence[tuple[Path, VideoInfo]], rounds: int) -> None:
    """The bare loop and ours in turn over all videos."""
    path, info = videos[0]
    assert bare(path, info) == ours(path), "both see every frame"
    found = []
    for _ in range(rounds):
        pairs = [(cpu_s(partial(bare, path, info)), cpu_s(partial(ours, path))) for path, info in videos]
        base, own = zip(*pairs, strict=True)
        found.append((sum(base), sum(own), _eights(videos, own)))
    base_s, own_s, eights = (sorted(each)[rounds // 2] for each in zip(*found, strict=True))
    ratio = sorted(base / own for base, own, _ in found)[rounds // 2]
    length = sum(info.duration_s for _, info in videos)
    print(f"{len(videos)} videos, {length:.0f} s; tracks: {', '.join(t.spec.name for t in all_tracks())}")
    print(f"bare loop of the kernels   {length / base_s:7.2f} s of video a CPU second")
    print(f"shots and tracks           {length / own_s:7.2f} s of video a CPU second")
    print(f"ratio                      {ratio:7.3f}  (wanted >= 0.85)")
    print(f"640 x 360                  {eights:7.2f} videos of 8 s a CPU second")


def _eights(videos: Sequence[tuple[Path, VideoInfo]], seconds: Sequence[float]) -> float:
    """Videos of 8 s a CPU second, by those of 640 x 360."""
    fit = [k for k, (_, info) in enumerate(videos) if (info.width_px, info.height_px) == (640, 360)]
    return sum(videos[k][1].duration_s for k in fit) / 8 / sum(seconds[k] for k in fit) if fit else math.nan


def report_decodes(videos: Sequence[tuple[Path, VideoInfo]], store: Path) -> None:
    """Decodes a source: split, split otherwise, and every track asked for over every clip."""
    from sluice.storage import locate

    before = tracks.decoded().sources
    for settings in ({}, {"trim_s": 0.0, "min_length_s": 1.0, "min_frames": 0}):
        tracks.use(locate(str(store)), all_tracks())
        for path, _ in videos:
            family = Splitter(registry().bind("video_split_shots", settings))(sample(path))
            for name in ("video_exposure", "video_flow_magnitude", "video_camera_shake"):
                Program([registry().bind(name)])(list(family.children))
    decodes = (tracks.decoded().sources - before) / len(videos)
    print(f"decodes a source, split twice and measured: {decodes:.2f}")


def report_memory(path: Path, work: Path) -> None:
    """Peak memory of a process that measures a video, and one that measures ten of it one after another."""
    peaks = []
    for times in (1, MEMORY_TIMES):
        longer = work / f"{times}.mkv"
        repeat(path, longer, times)
        command = [sys.executable, __file__, "--peak-of", str(longer)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1000)
    told = f"{peaks[0]:.0f} MB at 1 x, {peaks[1]:.0f} MB at {MEMORY_TIMES} x the length"
    print(f"peak memory of a process: {told}: {peaks[1] / peaks[0]:.3f}")


def repeat(path: Path, target: Path, times: int) -> None:
    """A video so many times in a row, its packets copied."""
    with av.open(str(target), "w") as out:
        stream: Any = None
        for k in range(times):
            with av.open(str(path)) as source:
                video = source.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                for packet in source.demux(video):
                    if packet.dts is None:
                        continue
                    offset = k * (video.duration or 0)
                    packet.pts, packet.dts = (packet.pts or 0) + offset, packet.dts + offset
                    packet.stream = stream
                    out.mux(packet)


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLUICE_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.peak_of:
        import resource

        ours(options.peak_of)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    videos = sources(Path(options.data) / "videos")
    print(f"{platform.processor() or platform.machine()}, one process", flush=True)
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as work:
        report_decodes(videos, Path(work) / "store")
        report_speed(videos, options.rounds)
        report_memory(max(videos, key=lambda video: video[1].duration_s)[0], Path(work))


if __name__ == "__main__":
    main()
