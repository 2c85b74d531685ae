"""The eight pure text operators on web documents: each alone, together, in a program and in a whole run.

    python benchmarks/text_operators.py [--data FOLDER] [--documents 50000] [--workers 2] [--rounds 3]

The documents are made of FOLDER/text's 300 real C4 pages: sentences of a page in another order, 2.4 KB on average,
one JSON object a line. Prints megabytes a second and core of every operator on texts that needs no model, the three
slowest first among the eight with what they do; the eight as a bare loop over texts in memory (features shared),
through `Program`, and as `sluice run` from a cold start, in documents a CPU second of the whole process tree (bytecode
is there, as in an installed package: a run that is not counted writes it); and the peak memory at a tenth of the
documents and at all.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EIGHT = (
    "text_alphanumeric_ratio",
    "text_character_repetition",
    "text_word_repetition",
    "text_word_count",
    "text_special_character_ratio",
    "text_stopword_ratio",
    "text_flagged_word_ratio",
    "text_length",
)
WHY = {
    "word_hashes": "finds every word's bounds, and adds up a 64-bit number a character",
    "text_character_repetition": "hashes a 64-bit number a character, and sorts those that may come again",
    "text_word_repetition": "hashes a number a word, and sorts those that may come again",
}
RECIPE = """\
source: {{path: {source}}}
steps:
  - keep: text_alphanumeric_ratio >= 0.25 and text_special_character_ratio <= 0.4
  - keep: text_character_repetition <= 0.5 and text_word_repetition <= 0.5
  - keep: text_word_count >= 10 and text_length >= 10
  - keep: text_stopword_ratio >= 0.1 and text_flagged_word_ratio <= 0.045
"""


def make_documents(target: Path, pages: Path, count: int) -> int:
    """Write `count` seeded documents as JSONL; returns their bytes. Kept between runs."""
    if not target.exists():
        whole = [json.loads(line)["text"] for line in pages.open(encoding="utf-8")]
        split = [re.split(r"(?<=[.!?])(\s+)", text) for text in whole]
        shuffled = random.Random(0)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w", encoding="utf-8") as lines:
            for k in range(count):
                parts = split[k % len(split)]
                order = shuffled.sample(range(0, len(parts), 2), len(range(0, len(parts), 2)))
                text = "".join(parts[i] + (parts[i + 1] if i + 1 < len(parts) else " ") for i in order)
                lines.write(json.dumps({"text": text}) + "\n")
    return target.stat().st_size


def texts_of(path: Path, count: int) -> list[str]:
    """The first texts of a JSONL file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for _, line in zip(range(count), lines, strict=False)]


def steps_of(names: Sequence[str]) -> Iterator[tuple[str, Callable[..., Any], list[str]]]:
    """Name, opened function and inputs of operators and of the features they need, in order."""
    from sluice.operator import Program, registry

    program = Program([registry().bind(name) for name in names]).open()
    for step in program.steps:
        yield step.name, step.call, [need.name for need in step.instance.spec.needs]  # type: ignore[misc]


def bare(texts: Sequence[str], names: Sequence[str] = EIGHT) -> float:
    """CPU seconds of a loop that calls the features and kernels and nothing else."""
    steps = list(steps_of(names))
    _loop(steps, texts[:50])
    started = time.process_time()
    _loop(steps, texts)
    return time.process_time() - started


def _loop(steps: Sequence[tuple[str, Callable[..., Any], list[str]]], texts: Sequence[str]) -> None:
    for text in texts:
        have: dict[str, Any] = {"text": text}
        for name, call, needs in steps:
            have[name] = call(*[have[need] for need in needs])


def by_operator(texts: Sequence[str], repeat: int = 3) -> dict[str, float]:
    """Megabytes of UTF-8 a CPU second by operator and feature, its inputs in hand."""
    from sluice.operator import registry

    known = registry()
    cheap = [s.name for s in known if s.scope == "text" and s.kind == "measure" and _is_cheap(known, s)]
    size = sum(len(text.encode()) for text in texts) / 1e6
    have: list[dict[str, Any]] = [{"text": text} for text in texts]
    rates = {}
    for name, call, needs in steps_of(cheap):
        seconds = []
        for _ in range(repeat):
            started = time.process_time()
            values = [call(*[one[need] for need in needs]) for one in have]
            seconds.append(time.process_time() - started)
        rates[name] = size / min(seconds)
        for one, value in zip(have, values, strict=True):
            one[name] = value
    return rates


def _is_cheap(known: Any, spec: Any) -> bool:
    if any(field.is_required() for field in spec.settings.model_fields.values()):
        return False
    bound = known.bind(spec.name)
    return bound.cost == "header" and spec.name != "text_token_count"


def through_program(texts: Sequence[str]) -> float:
    """CPU seconds of the eight through `Program`, in micro-batches of 64."""
    from sluice.operator import Program, registry
    from sluice.sample import Item, Sample

    program = Program([registry().bind(name) for name in EIGHT]).open()
    samples = [Sample(id=str(k), key=str(k), items=(Item("text", text=t),)) for k, t in enumerate(texts)]
    program(samples[:50])
    started = time.process_time()
    for start in range(0, len(samples), 64):
        program(samples[start : start + 64])
    return time.process_time() - started


def whole_run(source: Path, workers: int, places: Path) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak megabytes of `sluice run` and its processes, from a cold start."""
    recipe = places / "recipe.yaml"
    recipe.write_text(RECIPE.format(source=source), encoding="utf-8")
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphaned workers become our children
    before = _children_seconds()
    with tempfile.TemporaryDirectory(dir=places) as output:
        command = [sys.executable, __file__, "--child", str(recipe), output, str(workers)]
        environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}  # as the command line sets it
        environment |= {"PYTHONPYCACHEPREFIX": str(places / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
        found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    wall, peak = map(float, found.split()[-2:])
    while _reaped():
        pass
    return _children_seconds() - before, wall, peak


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _reaped() -> bool:
    """Wait for one child, those that a child left behind among them, so that its time is known."""
    try:
        os.wait()
    except ChildProcessError:
        return False
    return True


def child(recipe: str, output: str, workers: int) -> None:
    """One run in a fresh process; prints its wall seconds, start-up counted, and peak megabytes."""
    from sluice.recipe.load import load
    from sluice.run import run

    summary = run(load(recipe), output=f"{output}/out", workers=workers, quiet=True)
    wall = time.clock_gettime(time.CLOCK_BOOTTIME) - _begun()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(wall, max(summary["peak_rss_mb"], own))


def _begun() -> float:
    """Seconds after boot at which this process began (field 22 of /proc/self/stat, after the name)."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run everything and print the table."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    places = ROOT / "bench-data"
    pages = options.data / "text" / "LLaMA-Factory__c4_demo.jsonl"
    source = places / f"texts-{options.documents}" / "documents.jsonl"
    size = make_documents(source, pages, options.documents)
    texts = texts_of(source, 2000)
    each = sum(len(text.encode()) for text in texts) / len(texts)
    print(f"{platform.processor() or platform.machine()}, {options.workers} workers; ", end="")
    print(f"{options.documents} documents, {size / 1e6:.0f} MB, {each:.0f} bytes each")
    report_operators(by_operator(texts))
    few = places / "texts-100" / "documents.jsonl"
    make_documents(few, pages, 100)
    whole_run(few, options.workers, places)
    rates: dict[str, list[float]] = {"bare loop": [], "Program": [], "sluice run": []}
    for _ in range(options.rounds):
        rates["bare loop"].append(len(texts) / bare(texts))
        rates["Program"].append(len(texts) / through_program(texts))
        cpu, wall, peak = whole_run(source, options.workers, places)
        rates["sluice run"].append(options.documents / cpu)
    median = {name: sorted(values)[len(values) // 2] for name, values in rates.items()}
    for name, value in median.items():
        print(
            f"{name:12} {value:9.0f} documents a CPU second  {value / median['bare loop']:.3f} of the bare loop"
        )
    print(
        f"the last run: {cpu:.1f} CPU s, {wall:.1f} s by the clock, start-up counted (wanted >= 0.70, >= 5490)"
    )
    report_memory(options, pages, places, peak)


def report_operators(rates: dict[str, float]) -> None:
    """Every operator's rate, then the slowest of what the eight run."""
    for name, rate in sorted(rates.items(), key=lambda pair: pair[1]):
        print(f"{name:30} {rate:9.1f} MB/s a core")
    parts = [name for name, _, _ in steps_of(EIGHT)]
    for name in sorted(parts, key=rates.__getitem__)[:3]:
        print(f"slow among the eight: {name}, {rates[name]:.1f} MB/s: it {WHY.get(name, 'is not explained')}")


def report_memory(options: argparse.Namespace, pages: Path, places: Path, peak: float) -> None:
    """Peak memory of a run at a tenth of the documents and at all."""
    few = options.documents // 10
    source = places / f"texts-{few}" / "documents.jsonl"
    make_documents(source, pages, few)
    tenth = whole_run(source, options.workers, places)[2]
    ratio = peak / tenth
    print(f"peak memory: {tenth:.0f} MB at 1 x, {peak:.0f} MB at 10 x: {ratio:.3f} (wanted <= 1.15)")


if __name__ == "__main__":
    main()
