"""How many documents a second are deduplicated by MinHash, against rensa alone, and in how much memory?

`library` makes a set of shingles of each document in Python and gives them to rensa, whose signatures and
index (`RMinHashLSH`) flag the documents that look like another: candidates, nothing verified,
nothing stored. `ours` is `text_minhash` of every document, its file in the store, and `jaccard` over that
file: bands, sets read again, verified pairs. Both in one process, by CPU time. The library is given the same
shingles, and once those of a faster, coarser split.

Documents are chains of sentences drawn from a folder of real texts (JSON lines with a `text`), 2.4 KB each;
every tenth is another with words changed, down to just above the threshold. Memory is that of a process of
its own, beyond what it had after its imports.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.ops.dedup.jaccard import jaccard
from sluice.ops.dedup.pairs import Pairs
from sluice.ops.text.minhash import text_minhash
from sluice.store.aside import GROUP_ROWS
from sluice.store.values import StoredValues

TEXTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "text"
CHARACTERS, SIMILARITY, PERMUTATIONS, SIZE = 2_400, 0.8, 128, 5
BANDS = 16  # of rensa's index: it takes divisors of the permutations only; 16 x 8 is usual for 0.8
EVERY = 10  # one document in so many is a copy
_WORD = re.compile(r"[^\W_]+")


def documents(count: int, texts: Path, seed: int) -> Iterator[str]:
    """Documents of sentences in random order; each tenth is the one before with some words replaced."""
    luck = random.Random(seed)
    lines = [line for path in sorted(texts.glob("*.jsonl")) for line in path.read_text().splitlines()]
    found = {s for line in lines for s in re.split(r"(?<=[.!?])\s+", json.loads(line).get("text", ""))}
    sentences = sorted(s for s in found if 20 < len(s) < 400) or _made_up(luck)
    document = ""
    for number in range(count):
        if number % EVERY == EVERY - 1:
            words = document.split(" ")
            for _ in range(luck.randint(1, max(1, len(words) // 35))):  # each spoils five shingles of both
                words[luck.randrange(len(words))] = f"changed{luck.randrange(10**9)}"
            document = " ".join(words)
        else:
            parts: list[str] = []
            while sum(map(len, parts)) < CHARACTERS:
                parts.append(luck.choice(sentences))
            document = " ".join(parts)
        yield document


def _made_up(luck: random.Random) -> list[str]:
    """Sentences of words of random letters, where no folder of texts is at hand."""
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(luck.choices(letters, k=luck.randint(2, 9))) for _ in range(20_000)]
    return [" ".join(luck.choices(words, k=luck.randint(6, 25))) + "." for _ in range(4_000)]


def words_of(text: str) -> list[str]:
    """Words as `text_minhash` has them, by a regular expression."""
    return _WORD.findall(text.lower())


def split(text: str) -> list[str]:
    """Words between white space: other ones, but twice as fast."""
    return text.lower().split()


def shingles(text: str, cut: Callable[[str], list[str]] = words_of) -> list[str]:
    """Runs of five words, joined."""
    words = cut(text)
    return [" ".join(words[k : k + SIZE]) for k in range(len(words) - SIZE + 1)]


def library(texts: list[str], cut: Callable[[str], list[str]]) -> list[bool]:
    """Which documents look like another, by rensa alone; a thousand documents' shingles at a time."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(SIMILARITY, PERMUTATIONS, BANDS)
    flags: list[bool] = []
    for start in range(0, len(texts), 1000):
        sets = [shingles(text, cut) for text in texts[start : start + 1000]]
        matrix = RMinHash.digest_matrix_from_token_sets(sets, PERMUTATIONS, 1)
        flags += index.insert_matrix_and_query_duplicate_flags(matrix, start)
    return flags


def sketched(texts: Iterator[str] | list[str], path: Path) -> int:
    """Write every document's sketch as the store does; how many there are."""
    schema = pa.schema([("binary", pa.large_binary())])
    count, block = 0, []
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for text in texts:
            block.append(text_minhash(text, permutations=PERMUTATIONS, size=SIZE))
            if len(block) == GROUP_ROWS:
                writer.write_table(pa.table({"binary": pa.array(block, pa.large_binary())}))
                count, block = count + len(block), []
        writer.write_table(pa.table({"binary": pa.array(block, pa.large_binary())}))
    return count + len(block)


def ours(path: Path, count: int) -> Pairs:
    """The verified pairs of the sketches in a file."""
    return jaccard(StoredValues(path, "binary", np.arange(count)), similarity=SIMILARITY)


def recall(pairs: Pairs, texts: list[str]) -> tuple[float, int]:
    """The share of planted pairs found, of those that are at least as near as the threshold, and their number."""
    found = set(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    near = []
    for copy in range(EVERY - 1, len(texts), EVERY):
        a, b = set(shingles(texts[copy - 1])), set(shingles(texts[copy]))
        if len(a & b) / len(a | b) >= SIMILARITY:
            near.append((copy - 1, copy))
    return sum(pair in found for pair in near) / len(near), len(near)


def measure(options: argparse.Namespace) -> None:
    """Time the library and ours on the same documents, in turn."""
    texts = list(documents(options.n, options.texts, options.seed))
    library(texts[:1000], words_of), sketched(texts[:100], Path(os.devnull))  # warm: imports, tables
    alone = {}
    for cut in (words_of, split):
        start = time.process_time()
        flags = library(texts, cut)
        alone[cut] = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sketches.parquet"
        start = time.process_time()
        count = sketched(texts, path)
        middle = time.process_time()
        pairs = ours(path, count)
        stop = time.process_time()
        size = path.stat().st_size / count
    share, planted = recall(pairs, texts)
    length = sum(map(len, texts)) / count
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"{count:,} documents of {length:,.0f} characters, {PERMUTATIONS} permutations, Jaccard {SIMILARITY}"
    )
    for cut, seconds in alone.items():
        print(f"library {count / seconds:9,.0f} documents per CPU-second, words by `{cut.__name__}`")
    print(f"        {sum(flags):,} flagged, none verified")
    print(f"ours    {count / (stop - start):9,.0f} documents per CPU-second")
    print(f"        sketches {middle - start:.1f} s, {size:,.0f} bytes each; pairs {stop - middle:.1f} s")
    print(f"        {len(pairs):,} pairs verified; {dict(pairs.facts)}")
    for cut, seconds in alone.items():
        print(f"speed of ours / library: {seconds / (stop - start):.2f} (words by `{cut.__name__}`)")
    print(f"recall: {share:.4f} of {planted:,} planted pairs that are at least {SIMILARITY} near")


def memory(options: argparse.Namespace) -> None:
    """Print the peak memory of deduplicating the documents of a file, beyond that of the imports, in MB."""
    before = _peak_mb()
    pairs = ours(options.sketches, pq.ParquetFile(options.sketches).metadata.num_rows)
    print(f"{_peak_mb() - before:,.0f} MB beyond the imports, {len(pairs):,} pairs")


def _peak_mb() -> float:
    # Not ru_maxrss, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def main() -> None:
    """Run and print one line a figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "texts", type=Path, nargs="?", default=TEXTS, help="folder of JSON lines with a `text`"
    )
    parser.add_argument("--n", type=int, default=100_000, help="documents")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sketches", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sketches:
        memory(options)
        return
    measure(options)
    with tempfile.TemporaryDirectory() as folder:
        for times in (1, 10):
            path = Path(folder) / f"{times}.parquet"
            count = sketched(documents(times * options.n, options.texts, options.seed), path)
            print(f"memory at {count:,} documents: ", end="", flush=True)
            subprocess.run(
                [sys.executable, __file__, str(options.texts), "--sketches", str(path)], check=True
            )


if __name__ == "__main__":
    main()
