"""Captions paid for by a run that is killed are not paid for again, whoever is killed and whenever."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from whole_runs import TESTS, Command, leftovers, photo, results

from processes import until, workers_of

SAMPLES, CONCURRENCY, WORKERS = 40, 3, 2
RECIPE = """
source: {path: in}
steps:
  - keep: image_width_px >= 40
  - measure: {image_caption: {url: "%s", model: describer, concurrency: %d}}
  - map: {sample_add_caption: {by: endpoint}}
write: {path: out, shard_samples: 8}
"""


@contextmanager
def endpoint(log: Path, delay_s: float) -> Iterator[str]:
    """A captioning endpoint in a process of its own, which logs each request before it answers."""
    command = [sys.executable, str(TESTS / "caption_server.py"), str(log), str(delay_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        finally:
            server.communicate(input="", timeout=30)


def paid(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def replies(store: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in store.glob("journal/*/*.jsonl"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(SAMPLES):
        (folder / f"{number:03d}.jpg").write_bytes(photo(number))
    return folder


@pytest.mark.slow
def test_a_run_killed_again_and_again_pays_for_each_caption_once(tmp_path: Path, pictures: Path) -> None:
    log = tmp_path / "log.txt"
    store, output = tmp_path / "store", tmp_path / "out"
    with endpoint(log, 0.15) as url:
        recipe = RECIPE % (url, CONCURRENCY)
        run = Command(tmp_path, str(pictures), str(output), str(store), recipe=recipe, workers=WORKERS)
        at_kills = []
        for share in (0.2, 0.6):
            driver = run.start()
            assert until(lambda share=share: replies(store) >= SAMPLES * share, 60)  # type: ignore[misc]
            if share < 0.5:
                run.kill(driver)
            else:  # a worker alone: the run goes on
                subprocess.run(["kill", "-9", str(workers_of(driver.pid)[0])], check=True)
                time.sleep(0.3)
                run.kill(driver)
            at_kills.append((replies(store), len(paid(log))))
        summary = json.loads(run.finish())
    asked = Counter(paid(log))
    assert len(asked) == SAMPLES
    # What was under way when a worker died is asked once more; whatever had a reply is not.
    under_way = sum(requests - known for known, requests in at_kills)
    assert 0 < under_way <= 4 * WORKERS * CONCURRENCY
    assert sum(asked.values()) <= SAMPLES + 3 * WORKERS * CONCURRENCY
    assert replies(store) == SAMPLES
    assert summary["kept"] == SAMPLES
    assert not leftovers(str(output))
    whole = tmp_path / "whole"
    with endpoint(tmp_path / "second.txt", 0.0) as url:
        recipe = RECIPE % (url, CONCURRENCY)
        undisturbed = Command(whole, str(pictures), str(whole / "out"), str(whole / "store"), recipe=recipe)
        whole.mkdir()
        undisturbed.finish()
    named_by_url = {"_sluice/lock.json", "_sluice/lock.yaml", "dataset.json"}
    once, often = results(str(whole / "out")), results(str(output))
    assert {n: d for n, d in once.items() if n not in named_by_url} == {
        n: d for n, d in often.items() if n not in named_by_url
    }
