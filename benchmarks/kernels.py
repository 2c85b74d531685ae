"""What each image operator costs on real photographs: microseconds a picture, beside the bare decoder.

    python benchmarks/kernels.py [--data FOLDER] [--pictures 40] [--repeat 5] [--all]

The pictures are seeded crops of about 640 x 480 from photographs in FOLDER/photos, encoded as JPEG of 60 to
150 KB. Without `--all` the operators are those of `recipes/images.yaml`. Times are of one thread, the least of the
repeats, so that other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from sluice.codec import decode
from sluice.errors import SampleError
from sluice.operator import Program, registry
from sluice.sample import Item, Media, Sample

ROOT = Path(__file__).resolve().parents[1]
SIZE = (640, 480)
BYTES = (60_000, 150_000)


def pictures(photos: Path, count: int, seed: int = 0) -> list[bytes]:
    """`count` JPEGs of 60-150 KB: seeded crops, scaled to 640 x 480 and encoded at a quality that fits."""
    random = np.random.default_rng(seed)
    sources = [
        pixels for pixels in map(_pixels, sorted(photos.glob("*.[jJ][pP]*[gG]"))) if pixels is not None
    ]
    made: list[bytes] = []
    while len(made) < count:
        source = sources[int(random.integers(len(sources)))]
        share = random.uniform(0.6, 1.0)
        width = int(min(source.shape[1], source.shape[0] * SIZE[0] / SIZE[1]) * share)
        height = width * SIZE[1] // SIZE[0]
        left = int(random.integers(source.shape[1] - width + 1))
        top = int(random.integers(source.shape[0] - height + 1))
        crop = Image.fromarray(source[top : top + height, left : left + width])
        data = _encoded(crop.resize(SIZE, Image.Resampling.LANCZOS), int(random.integers(*BYTES)))
        if BYTES[0] <= len(data) <= BYTES[1]:
            made.append(data)
    return made


def _pixels(path: Path) -> np.ndarray | None:
    try:
        pixels = decode(path.read_bytes())
    except SampleError:
        return None
    return pixels if min(pixels.shape[:2]) >= 360 else None


def _encoded(picture: Image.Image, wanted: int) -> bytes:
    for quality in (96, 93, 90, 85, 80, 75):
        target = io.BytesIO()
        picture.save(target, "JPEG", quality=quality, subsampling=2)
        if len(target.getvalue()) <= wanted:
            break
    return target.getvalue()


def least(call: Callable[[], object], repeat: int) -> float:
    """Seconds of CPU time of the fastest call."""
    times = []
    for _ in range(repeat):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return min(times)


def measure(names: Sequence[str], data: Sequence[bytes], repeat: int) -> tuple[dict[str, float], float]:
    """Least wall seconds by step, and the least CPU seconds of the whole program, for all pictures."""
    program = Program([registry().bind(name) for name in names]).open()
    samples = [
        Sample(id=str(k), key=str(k), items=(Item("image", media=Media(data=d)),)) for k, d in enumerate(data)
    ]
    by_step: dict[str, float] = {}

    def once() -> None:
        for name, seconds in program(samples).seconds.items():
            by_step[name] = min(by_step.get(name, seconds), seconds)

    return by_step, least(once, repeat)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("SLUICE_TEST_DATA", ROOT / "../shared/data")
    )
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--all", action="store_true", help="every image operator, not those of images.yaml")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    data = pictures(Path(options.data) / "photos", options.pictures)
    known = [spec.name for spec in registry() if spec.scope == "image" and spec.kind == "measure"]
    used = set(re.findall(r"image_\w+", (ROOT / "recipes/images.yaml").read_text(encoding="utf-8")))
    names = [name for name in known if options.all or name in used]
    by_step, total = measure(names, data, options.repeat)
    bare = least(lambda: [simplejpeg.decode_jpeg(d) for d in data], options.repeat)
    count = len(data)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"{count} JPEGs of {SIZE[0]} x {SIZE[1]}, {sum(map(len, data)) / count / 1000:.0f} KB on average\n")
    for name, seconds in sorted(by_step.items(), key=lambda item: -item[1]):
        print(f"{name:32}{seconds / count * 1e6:9.0f} µs")
    print(f"\n{'sum of the steps':32}{sum(by_step.values()) / count * 1e6:9.0f} µs")
    print(
        f"{'whole program, CPU':32}{total / count * 1e6:9.0f} µs = {count / total:.0f} pictures per CPU-second"
    )
    print(f"{'bare decoder, CPU':32}{bare / count * 1e6:9.0f} µs")


if __name__ == "__main__":
    main()
