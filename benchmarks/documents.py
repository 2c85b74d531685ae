"""Interleaved documents: conversion beside `cp`, the filter chain beside a bare loop, a cold run of two filters.

    python benchmarks/documents.py [--data FOLDER] [--documents 2400] [--workers 2] [--rounds 3]

Documents hold three JPEGs of 60-150 KB (seeded crops of photographs) and three texts. Prints, in one run: tar to
Parquet and Parquet to tar beside `cp` of the same bytes, both ending in `sync`; documents per second of the
measuring pass of sharpness, QR area and ratio beside a loop that only reads, decodes and calls the same kernels,
on as many processes; the CPU-seconds of a whole cold `sluice run` of ratio and blur; and the peak memory of the
conversion at 1 x and 10 x the input.
"""

from __future__ import annotations

import argparse
import ctypes
import json
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
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORDS = (
    "the",
    "lake",
    "lay",
    "still",
    "and",
    "no",
    "boat",
    "moved",
    "before",
    "wind",
    "came",
    "back",
    "from",
    "hills",
)
BOTH = """
source: {{path: {source}, format: interleaved-webdataset}}
steps:
  - keep: sample_image_to_word_ratio <= 10
  - drop_items: image_sharpness < 100
write: {{path: {output}, format: interleaved-webdataset}}
"""
CHAIN = """
source: {{path: {source}, format: interleaved-webdataset}}
steps:
  - keep: sample_image_to_word_ratio <= 10
  - drop_items: image_sharpness < 100
  - drop_items: image_qrcode_area_ratio >= 0.05
"""


def make_documents(folder: Path, photos: Path, count: int) -> int:
    """Write `count` documents as tars of 256 MB into `folder`; returns their bytes. Kept between runs."""
    from kernels import pictures

    from sluice.sample import Item, Media, Sample
    from sluice.storage import Location
    from sluice.writers import open_writer

    if not (folder / "done").exists():
        found = pictures(photos, 3 * count)
        for part, first in enumerate(range(0, count, 800)):
            samples = []
            for n in range(first, min(first + 800, count)):
                items = [Item("metadata", "application/json", "json")]
                for k in range(3):
                    text = " ".join(WORDS[(n + k + w) % len(WORDS)] for w in range(60 + 7 * k))
                    media = Media(size=len(found[3 * n + k]), data=found[3 * n + k])
                    items.append(Item("text", "text/plain", f"{2 * k}.txt", text))
                    items.append(Item("image", "image/jpeg", f"{2 * k + 1}.jpg", media=media))
                samples.append(
                    Sample(str(n), f"doc/{n:06d}", tuple(items), {"url": f"https://example.org/{n}"})
                )
            open_writer(Location(folder), "interleaved-webdataset").write_shard(part, samples, None)
        (folder / "done").touch()
    return sum(f.stat().st_size for f in folder.glob("*.tar"))


def timed(call: Callable[[], Any]) -> float:
    """Seconds of wall time, `sync` before and after included at the end."""
    subprocess.run(["sync"], check=True)
    started = time.perf_counter()
    call()
    subprocess.run(["sync"], check=True)
    return time.perf_counter() - started


def report_conversion(folder: Path, work: Path, rounds: int) -> None:
    """Tar to Parquet and back, in turn with `cp` of the same bytes."""
    from sluice.run.convert import convert
    from sluice.run.memory import reuse_memory

    reuse_memory()  # as the command line does
    found: dict[str, list[float]] = {"cp": [], "tar to Parquet": [], "Parquet to tar": []}
    cpu: dict[str, list[float]] = {name: [] for name in found}

    def once(name: str, call: Callable[[], Any]) -> None:
        before = time.process_time()
        found[name].append(timed(call))
        cpu[name].append(time.process_time() - before)

    def converted(source: Path | str, target: str, to: str, **given: Any) -> None:
        convert(str(source), target, to=to, quiet=True, shard_size=256_000_000, **given)

    tars = sorted(map(str, folder.glob("*.tar")))
    for k in range(rounds):
        (work / f"cp{k}").mkdir()
        copy = ["cp", *tars, str(work / f"cp{k}")]
        once("cp", partial(subprocess.run, copy, check=True))
        table, again = str(work / f"t{k}"), str(work / f"w{k}")
        tar, parquet = "interleaved-webdataset", "interleaved-parquet"
        once("tar to Parquet", partial(converted, folder, table, parquet, format=tar))
        once("Parquet to tar", partial(converted, table, again, tar))
        for place in (f"cp{k}", f"t{k}", f"w{k}"):
            shutil.rmtree(work / place)
    size = sum(Path(t).stat().st_size for t in tars)
    for name, seconds in found.items():
        middle = sorted(seconds)[rounds // 2]
        ratio = sorted(a / b for a, b in zip(found["cp"], seconds, strict=True))[rounds // 2]
        used = sorted(cpu[name])[rounds // 2]
        told = f"{size / middle / 1e6:7.0f} MB/s  {ratio:5.2f} of cp" + (
            " (wanted >= 0.50)" if name != "cp" else ""
        )
        print(
            f"{name:16}{middle:7.2f} s {told}"
            + (f"  {size / used / 1e6:.0f} MB per CPU-second" if used > 0.1 else "")
        )


def bare(ranges: list[list[tuple[str, int, int, int]]]) -> float:
    """Read, hash, decode and call the two kernels on each image, count the words; seconds of wall time."""
    import cv2
    import xxhash

    from sluice.ops.image import pixels
    from sluice.ops.image.qrcode_area_ratio import image_qrcode_area_ratio
    from sluice.ops.image.sharpness import image_sharpness
    from sluice.run.memory import reuse_memory
    from sluice.sample import Media

    cv2.setNumThreads(1)
    reuse_memory()  # as our workers do
    files: dict[str, int] = {}
    started = time.perf_counter()
    for document in ranges:
        for path, offset, size, _ in document:
            fd = files.setdefault(path, -1)
            if fd < 0:
                fd = files[path] = os.open(path, os.O_RDONLY)
            data = os.pread(fd, size, offset)
            xxhash.xxh3_128_hexdigest(data)
            picture = pixels.picture(data, Media(data=data))
            gray = pixels.gray(picture)
            image_sharpness(picture, gray)
            image_qrcode_area_ratio(gray)
    return time.perf_counter() - started


def report_chain(folder: Path, work: Path, workers: int, rounds: int) -> None:
    """The measuring pass of three filters beside the bare loop on as many processes."""
    from sluice.readers import open_reader
    from sluice.recipe.load import loads
    from sluice.run import run

    reader = open_reader(str(folder), format="interleaved-webdataset")
    documents = [
        [(i.media.uri, i.media.offset, i.media.size, 0) for i in s.items if i.media]
        for part in reader.slices()
        for s in reader.read(part)
    ]
    recipe = loads(CHAIN.format(source=folder))
    ours, theirs = [], []
    for k in range(rounds):
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            pool.map(bare, [documents[:2]] * workers, chunksize=1)
            parts = [documents[w::workers] for w in range(workers)]
            seconds = pool.map(bare, parts, chunksize=1)
        theirs.append(sum(len(p) / s for p, s in zip(parts, seconds, strict=True)))
        summary = run(recipe, output=str(work / f"chain{k}" / "out"), workers=workers, quiet=True)
        step = next(s for s in summary["steps"] if s["name"] == "measure")
        ours.append(step["items"] * max(summary["workers"], 1) / summary["busy_s"])
    a, b = sorted(ours)[rounds // 2], sorted(theirs)[rounds // 2]
    print(f"filter chain    {a:.0f} documents/s, bare loop {b:.0f}: {a / b:.3f} (wanted >= 0.85)")


def report_cold(folder: Path, work: Path, count: int, workers: int, rounds: int) -> None:
    """A whole cold `sluice run` of ratio and blur: the CPU time of all of its processes, beside that of decoding."""
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    pr_set_child_subreaper = 36  # its fork server and workers become ours when it ends, and are counted
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)
    found = []
    for k in range(rounds):
        recipe = work / f"cold{k}.yaml"
        recipe.write_text(BOTH.format(source=folder, output=work / f"cold{k}" / "out"))
        options = ["--workers", str(workers), "--quiet", "--json"]
        command = [sys.executable, "-m", "sluice", "run", str(recipe), *options]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        with suppress(ChildProcessError):
            while True:
                os.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        found.append((cpu, json.loads(done.stdout)["kept"]))
    cpu, kept = sorted(found)[rounds // 2]
    print(f"ratio and blur, cold   {cpu:.1f} CPU-seconds, {kept} of {count} kept (wanted <= 5 of 2,400)")
    rgb, luma = decoding(folder), decoding(folder, "GRAY")
    print(f"  decoding and the kernel alone {rgb:.1f} CPU-seconds; luma alone {luma:.1f}")


def decoding(folder: Path, colorspace: str = "RGB") -> float:
    """CPU-seconds of simplejpeg, the luma and the Laplacian's variance on every image, nothing else."""
    import cv2
    import simplejpeg

    from sluice.ops.image.sharpness import laplacian_variance
    from sluice.readers import open_reader
    from sluice.run.memory import reuse_memory

    cv2.setNumThreads(1)
    reuse_memory()
    reader = open_reader(str(folder), format="interleaved-webdataset")
    total = 0.0
    for part in reader.slices():
        for sample in reader.read(part):
            for data in [item.media.read() for item in sample.items if item.media]:
                started = time.process_time()
                pixels = simplejpeg.decode_jpeg(data, colorspace=colorspace)
                gray = pixels[..., 0] if colorspace == "GRAY" else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
                laplacian_variance(gray)
                total += time.process_time() - started
    return total


def report_memory(options: argparse.Namespace, folder: Path) -> None:
    """Peak memory of converting to Parquet and back, at 1 x and 10 x the input."""
    peaks = {}
    for scale in (1, 10):
        command = [sys.executable, __file__, "--scale", str(scale), "--documents", str(options.documents)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[scale] = float(done.stdout.split()[-1])
    told = f"{peaks[1]:.0f} MB at 1 x, {peaks[10]:.0f} MB at 10 x"
    print(f"peak memory of converting: {told}: {peaks[10] / peaks[1]:.3f}")


def child_memory(options: argparse.Namespace) -> None:
    """Convert links to a tenth of the tars `scale` times over, there and back; prints the peak in MB."""
    from sluice.run.convert import convert

    folder = ROOT / "bench-data" / f"documents-{options.documents}"
    first = min(folder.glob("*.tar"))
    with tempfile.TemporaryDirectory(dir=ROOT / "bench-data") as name:
        source = Path(name) / "s"
        source.mkdir()
        for k in range(options.scale):
            os.link(first, source / f"{k:03d}.tar")
        convert(
            str(source), f"{name}/t", to="interleaved-parquet", format="interleaved-webdataset", quiet=True
        )
        convert(f"{name}/t", f"{name}/w", to="interleaved-webdataset", quiet=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLUICE_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--documents", type=int, default=2400)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=0)
    options = parser.parse_args()
    if options.scale:
        child_memory(options)
        return
    folder = ROOT / "bench-data" / f"documents-{options.documents}"
    size = make_documents(folder, Path(options.data) / "photos", options.documents)
    print(f"{platform.processor() or platform.machine()}, {options.workers} workers; ", end="")
    print(f"{options.documents} documents, {size / 1e6:.0f} MB", flush=True)
    work = Path(tempfile.mkdtemp(prefix="sluice-bench-", dir=ROOT / "bench-data"))
    try:
        report_conversion(folder, work, options.rounds)
        report_chain(folder, work, options.workers, options.rounds)
        report_cold(folder, work, options.documents, options.workers, options.rounds)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report_memory(options, folder)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
