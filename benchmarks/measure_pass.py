"""The measuring pass beside a bare loop that only reads, decodes and calls the same kernels.

    python benchmarks/measure_pass.py [--data FOLDER] [--pictures 2000] [--workers 2] [--scale 1,10]

Prints, in one run: images per second of the pass of `recipes/images.yaml` and of the bare loop on the same number of
processes, and their ratio; the pass of a header-only recipe beside it; a run with nothing changed, and one after
a changed threshold; the peak memory at 1 × and 10 × the input; the write of the survivors beside `cp`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def make_pictures(folder: Path, photos: Path, count: int) -> int:
    """Write `count` seeded JPEGs of 60-150 KB into `folder`; returns their bytes. Kept between runs."""
    from kernels import pictures

    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.iterdir())) != count:
        for k, data in enumerate(pictures(photos, count)):
            (folder / f"{k:06d}.jpg").write_bytes(data)
    return sum(f.stat().st_size for f in folder.iterdir())


def bare(paths: list[str]) -> float:
    """Read, decode, call every kernel of images.yaml, nothing else; returns seconds of wall time."""
    import cv2
    import xxhash

    from sluice.operator import registry
    from sluice.ops.image import pixels
    from sluice.sample import Media

    cv2.setNumThreads(1)
    specs = [registry().get(name) for name in operators()]
    steps = [(spec.target, [n.name for n in spec.needs]) for spec in specs]
    used = {n.name for spec in specs for n in spec.needs}
    names = ("rgb", "gray", "small", "small_gray")
    shared = [(name, getattr(pixels, name)) for name in names if name in used]
    started = time.perf_counter()
    for path in paths:
        data = Path(path).read_bytes()
        xxhash.xxh3_128_hexdigest(data)
        media = Media(data=data)
        picture = pixels.picture(data, media)
        have: dict[str, Any] = {
            "encoded": data,
            "media": media,
            "picture": picture,
            "header": pixels.header(media),
        }
        have.update((name, feature(picture)) for name, feature in shared)
        for kernel, names in steps:
            kernel(*[have[name] for name in names])
    return time.perf_counter() - started


def operators() -> list[str]:
    """The operators that images.yaml needs."""
    from sluice.operator import registry
    from sluice.plan import plan
    from sluice.recipe.load import load

    return [i.spec.name for i in plan(load(str(ROOT / "recipes" / "images.yaml")), registry()).instances]


def bare_rate(folder: Path, workers: int) -> float:
    """Images per second of the bare loop on `workers` processes, their start-up excluded, one thread each."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    paths = sorted(str(p) for p in folder.iterdir())
    parts = [paths[k::workers] for k in range(workers)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(bare, [p[:8] for p in parts], chunksize=1)  # imports and first touches
        seconds = pool.map(bare, parts, chunksize=1)
    return sum(len(part) / s for part, s in zip(parts, seconds, strict=True))


HEADER_ONLY = """
source: {{path: {source}}}
steps:
  - keep: image_width_px >= 200 and image_height_px >= 200
  - keep: image_aspect_ratio between 1:3 and 3:1
  - keep: image_size_bytes >= 1000
"""


def run(recipe: Any, output: Path, workers: int, **options: Any) -> dict[str, Any]:
    """One run in this process's children; returns its summary."""
    import sluice.run

    return sluice.run.run(recipe, output=str(output), workers=workers, quiet=True, **options)


def pass_rate(summary: dict[str, Any]) -> float:
    """Images per second of the measuring workers, their start-up excluded."""
    step = next(s for s in summary["steps"] if s["name"] == "measure")
    return step["items"] * max(summary["workers"], 1) / summary["busy_s"]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of wall time, and the result."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def cp_seconds(files: list[Path], target: Path) -> float:
    """`cp` of these files, ending in `sync`."""
    target.mkdir(parents=True)
    subprocess.run(["sync"], check=True)
    started = time.perf_counter()
    subprocess.run(["cp", *map(str, files), str(target)], check=True)
    subprocess.run(["sync"], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--scale", default="")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.scale:
        child_memory(options)
        return
    from sluice.recipe.load import load, loads

    folder = ROOT / "bench-data" / f"jpeg-{options.pictures}"
    size = make_pictures(folder, options.data / "photos", options.pictures)
    print(f"{platform.processor() or platform.machine()}, {options.workers} workers; ", end="")
    print(f"{options.pictures} JPEGs, {size / 1e6:.1f} MB, mean {size / options.pictures / 1e3:.0f} KB")
    recipe = load(str(ROOT / "recipes" / "images.yaml"), source=str(folder))
    header = loads(HEADER_ONLY.format(source=folder))
    rates: dict[str, list[float]] = {"bare": [], "images.yaml": [], "header": []}
    work = Path(tempfile.mkdtemp(prefix="sluice-bench-", dir=ROOT / "bench-data"))
    try:
        for k in range(options.rounds):
            rates["bare"].append(bare_rate(folder, options.workers))
            summary = run(recipe.replace(write=None), work / f"a{k}" / "out", options.workers)
            rates["images.yaml"].append(pass_rate(summary))
            rates["header"].append(pass_rate(run(header, work / f"h{k}" / "out", options.workers)))
        report_rates(rates, options.workers)
        report_reruns(recipe, work / f"a{options.rounds - 1}", options.workers)
        report_export(recipe, folder, work, options.workers)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report_memory(options)


def report_rates(rates: dict[str, list[float]], workers: int) -> None:
    """Medians, and ratios of medians."""
    median = {name: sorted(values)[len(values) // 2] for name, values in rates.items()}
    for name, value in median.items():
        print(
            f"{name:12} {value:9.0f} images/s  {value / workers:8.0f} per core  (of {len(rates[name])} rounds)"
        )
    print(f"images.yaml / bare loop      {median['images.yaml'] / median['bare']:.3f}   (wanted >= 0.85)")
    print(f"header-only / images.yaml    {median['header'] / median['images.yaml']:.1f}    (wanted >= 25)")


def report_reruns(recipe: Any, place: Path, workers: int) -> None:
    """Nothing changed; then one threshold changed: no media is read."""
    same, _ = timed(lambda: run(recipe.replace(write=None), place / "out", workers))
    data = recipe.replace(write=None).to_data()
    data["steps"][0]["keep"]["rule"] = "image_width_px >= 300 and image_height_px >= 200"
    from sluice.recipe.recipe import Recipe

    changed = Recipe.model_validate({**data, "steps": recipe.steps[1:]})
    other, summary = timed(lambda: run(changed, place / "out", workers, update=True))
    measured = next(s["items"] for s in summary["steps"] if s["name"] == "measure")
    print(f"rerun, nothing changed       {same:.2f} s  (wanted < 2)")
    print(f"rerun, other rules           {other:.2f} s, {measured} samples measured (wanted 0)")


def report_export(recipe: Any, folder: Path, work: Path, workers: int, times: int = 5) -> None:
    """Write the pictures five times over as tar shards of 100 MB, beside `cp` of the same files, in turn."""
    source = work / "many"
    link_many(folder, source, times)
    files = sorted(source.iterdir())
    write = recipe.write.model_copy(update={"shard_size": 100_000_000})
    wide = recipe.replace(
        source=recipe.source.model_copy(update={"path": str(source)}), steps=recipe.steps[:1], write=write
    )
    ratios, ours, theirs = [], [], []
    for k in range(5):
        theirs.append(cp_seconds(files, work / "cp"))
        shutil.rmtree(work / "cp")
        subprocess.run(["sync"], check=True)
        # The store is shared: from the second round on nothing is measured, only written.
        summary = run(wide, work / "export" / f"out{k}", workers)
        seconds = next(s["seconds"] for s in summary["steps"] if s["name"] == "write")
        flush, _ = timed(lambda: subprocess.run(["sync"], check=True))
        shutil.rmtree(work / "export" / f"out{k}")
        ours.append(seconds + flush)
        ratios.append(theirs[-1] / ours[-1])
    a, b = sorted(ours)[2], sorted(theirs)[2]
    print(
        f"export of {summary['size_bytes'] / 1e6:.0f} MB {a:.2f} s, cp {b:.2f} s, both with sync (medians of 5)"
    )
    print(f"export's speed / cp's        {sorted(ratios)[2]:.2f} (median of pairs; wanted >= 0.60)")


def link_many(folder: Path, target: Path, times: int) -> None:
    """The files of a folder `times` over, as links under different names."""
    target.mkdir(parents=True)
    for k in range(times):
        for path in folder.iterdir():
            os.link(path, target / f"{k}-{path.name}")


def report_memory(options: argparse.Namespace) -> None:
    """Peak memory of a whole run, its workers included, at 1 × and 10 × the input."""
    peaks = {}
    for scale in (1, 10):
        command = [sys.executable, __file__, "--scale", str(scale), "--pictures", str(options.pictures)]
        command += ["--workers", str(options.workers), "--data", str(options.data)]
        environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}  # as the command line sets it
        found = subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment
        ).stdout.split()
        peaks[scale] = float(found[-1])
    ratio = peaks[10] / peaks[1]
    print(f"peak memory: {peaks[1]:.0f} MB at 1 x, {peaks[10]:.0f} MB at 10 x: {ratio:.3f} (wanted <= 1.15)")


def child_memory(options: argparse.Namespace) -> None:
    """A whole run over the pictures, linked `scale` times under other names; prints the peak in MB."""
    from sluice.recipe.load import load

    folder = ROOT / "bench-data" / f"jpeg-{options.pictures}"
    with tempfile.TemporaryDirectory(dir=ROOT / "bench-data") as name:
        source = Path(name) / "source"
        link_many(folder, source, int(options.scale))
        recipe = load(str(ROOT / "recipes" / "images.yaml"), source=str(source))
        summary = run(recipe.replace(steps=recipe.steps[:-2]), Path(name) / "out", options.workers)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(max(summary["peak_rss_mb"], own))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
