"""The CLIP pass beside a bare loop of the same model on prepared batches.

    python benchmarks/clip_pass.py [--device cpu|cuda] [--size b32|l14] [--pictures 256] [--data FOLDER]

The model has CLIP's real size and random weights. On a CPU: images per CPU second of one core for the bare loop on
batches made beforehand, for the model's step alone and for the whole pass (read, decode, resize, model), in turn;
on a GPU: the bare loop at bfloat16 on batches that lie there, beside a whole run with decoding by all workers. Then
what the weights cost two workers. Without photographs (`--data`) pictures are made up, of the same size in pixels.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
MICRO_BATCH = 64
RECIPE = """
source: {{path: {source}}}
steps:
  - measure: [{{clip_embedding: {{with: {{clip: {{model: {model}, device: {device}}}}}}}}}]
"""


def make_model(folder: Path, size: str) -> str:
    """A CLIP of the published size with random weights, saved as publishers do."""
    import transformers

    from sluice.model.pretrained import quiet

    large = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    }
    vision = {"b32": {}, "l14": {**large, "patch_size": 14}}[size]
    text = {"b32": {}, "l14": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}}[
        size
    ]
    config = transformers.CLIPConfig(
        vision_config=vision, text_config=text, projection_dim={"b32": 512, "l14": 768}[size]
    )
    with quiet():
        transformers.CLIPModel(config).save_pretrained(folder)
        transformers.CLIPImageProcessorPil(
            size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}
        ).save_pretrained(folder)
    return str(folder)


def make_pictures(folder: Path, photos: Path, count: int) -> list[Path]:
    """`count` JPEGs of 640 x 480: crops of photographs, or made up where there are none."""
    folder.mkdir(parents=True)
    distinct = min(count, 512)
    if photos.is_dir():
        from kernels import pictures

        made = pictures(photos, distinct)
    else:
        made = [_made_up(k) for k in range(distinct)]
    paths = [folder / f"{k:06d}.jpg" for k in range(count)]
    for k, path in enumerate(paths):
        path.write_bytes(made[k % distinct])
    return paths


def _made_up(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(smooth + random.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noisy).save(out, "JPEG", quality=85)
    return out.getvalue()


def bare(model: str, device: str, batch: int, count: int) -> Callable[[], float]:
    """A loop over batches that are ready on the device: images per second (of CPU time, on a CPU)."""
    import torch

    from sluice.model.pretrained import pretrained

    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    clip = pretrained("AutoModel", model, device, dtype)
    pixels = torch.randn(batch, 3, 224, 224).to(device=device, dtype=dtype)

    def loop() -> float:
        with torch.inference_mode():
            clip.get_image_features(pixel_values=pixels)
            _settled(device)
            clock = time.process_time if device == "cpu" else time.perf_counter
            started = clock()
            for _ in range(count // batch):
                clip.get_image_features(pixel_values=pixels)
            _settled(device)
        return count // batch * batch / (clock() - started)

    return loop


def _settled(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def one_core(model: str, paths: list[Path]) -> Callable[[], tuple[float, float]]:
    """Our pass in this process, one thread: images per CPU second of the model's step alone, and of all steps."""
    from sluice.codec import decode
    from sluice.model.preprocess import preprocess
    from sluice.model.runner import Load, Runner
    from sluice.operator import Program, registry
    from sluice.sample import Item, Media, Sample

    bound = registry().bind("clip_embedding", with_={"clip": {"model": model, "device": "cpu"}})
    program = Program([bound]).open()
    samples = [
        Sample(str(k), str(k), (Item("image", "image/jpeg", "jpg", media=Media(str(path))),))
        for k, path in enumerate(paths)
    ]

    load = Load("sluice.model.clip:image_tower", model)
    runner, made = Runner(load, device="cpu").open(), preprocess(model)
    rows = [{"pixel_values": made(decode(path.read_bytes()))} for path in paths]

    def loop() -> tuple[float, float]:
        started = time.process_time()
        for k in range(0, len(rows), MICRO_BATCH):
            runner(rows[k : k + MICRO_BATCH])
        between = time.process_time()
        for k in range(0, len(samples), MICRO_BATCH):
            measured = program(samples[k : k + MICRO_BATCH])
            assert not any(value is None for (value,) in measured.columns["clip_embedding"])
        return len(rows) / (between - started), len(samples) / (time.process_time() - between)

    return loop


def whole_run(model: str, device: str, folder: Path, workers: int) -> tuple[float, dict[str, Any], int]:
    """Seconds of a run's measuring, its summary, and the peak of its processes' memory together, in MB."""
    from sluice.recipe.load import loads
    from sluice.run import local_engine, run

    recipe = loads(RECIPE.format(source=folder, model=model, device=device))
    engine = local_engine(recipe, workers)
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            peak[0] = max(peak[0], sum(_resident_mb(engine.worker_pids())))  # type: ignore[attr-defined]

    watching = threading.Thread(target=watch)
    watching.start()
    with tempfile.TemporaryDirectory() as out:
        summary = run(recipe, output=out + "/out", store=out + "/store", engine=engine, quiet=True)
    done.set()
    watching.join()
    engine.close()
    step = next(s for s in summary["steps"] if s["name"] == "measure")
    return step["seconds"], summary, peak[0]


def _resident_mb(pids: list[int]) -> Iterator[int]:
    """Each process's share of memory (pages that several map are shared out among them), in MB."""
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        yield next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) // 1000


def report_cpu(model: str, paths: list[Path], rounds: int) -> None:
    """One core, in turn."""
    import torch

    torch.set_num_threads(1)
    loop, ours = bare(model, "cpu", 8, len(paths)), one_core(model, paths)
    ours()
    found = [(loop(), *ours()) for _ in range(rounds)]
    base, step, whole = (sorted(values)[rounds // 2] for values in zip(*found, strict=True))
    print(f"bare model, batches of 8       {base:8.2f} images per CPU second")
    print(f"our model step                 {step:8.2f} images/s   ratio {step / base:.3f}  (wanted >= 0.9)")
    print(f"our whole pass, decoding too   {whole:8.2f} images/s   ratio {whole / base:.3f}")


def report_runs(model: str, device: str, folder: Path, count: int, workers: int) -> float:
    """Whole runs over half and all of the pictures: the difference is without start-up."""
    half = folder.with_name("half")
    half.mkdir()
    for path in sorted(folder.iterdir())[: count // 2]:
        os.link(path, half / path.name)
    first, _, _ = whole_run(model, device, half, workers)
    both, summary, peak = whole_run(model, device, folder, workers)
    rate = (count - count // 2) / max(both - first, 1e-9)
    print(
        f"whole runs, {workers} workers          {rate:8.2f} images/s   (start-up {2 * first - both:.1f} s)"
    )
    print(f"peak memory                    {summary['peak_rss_mb']:8.0f} MB by the summary; ", end="")
    print(f"workers alone {peak} MB, pages that they share counted once")
    for text, times in summary["notes"].items():
        print(f"note: {text} ({times})")
    return rate


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--size", choices=["b32", "l14"], default="b32")
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    try:
        model = make_model(work / "clip", options.size)
        paths = make_pictures(work / "all", options.data / "photos", options.pictures)
        print(f"{platform.processor() or platform.machine()}; CLIP {options.size}; {len(paths)} JPEGs")
        if options.device == "cpu":
            report_cpu(model, paths, options.rounds)
            report_runs(model, "cpu", work / "all", len(paths), options.workers)
            return
        import torch

        base = bare(model, "cuda", 64, max(options.pictures, 64 * 50))()
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
        print(f"bare model, batches of 64      {base:8.0f} images/s at bfloat16, ", end="")
        print(f"peak {torch.cuda.max_memory_allocated() / 1e6:.0f} MB on the GPU")
        rate = report_runs(model, "cuda", work / "all", len(paths), options.workers)
        print(f"ratio                          {rate / base:8.3f}   (wanted >= 0.8)")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
