"""Windows that a killed run paid for are not paid for again; it ends in what an undisturbed run ends in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from test_captions_killed import endpoint, paid, replies
from whole_runs import Command, leftovers, results

from made_videos import made, numbered
from processes import until

VIDEOS, WINDOWS, CONCURRENCY, WORKERS = 4, 24, 3, 2
RECIPE = """
source: {path: in}
steps:
  - split: {video_split_stride: {length_s: 3}}
  - measure:
      - video_caption: {url: "%s", model: describer, concurrency: %d, window_frames: 30, min_remainder_frames: 30}
  - map: {sample_add_window_captions: {by: endpoint}}
write: {path: out, format: clips, shard_samples: 2}
"""


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(VIDEOS):  # each is two clips of three windows
        pictures = numbered(180, 96, 64, first=200 * number)
        (folder / f"{number}.mp4").write_bytes(made(pictures, fps=30, options={"preset": "ultrafast"}))
    return folder


@pytest.mark.slow
def test_a_run_killed_again_and_again_pays_for_each_window_once(tmp_path: Path, videos: Path) -> None:
    log, store, output = tmp_path / "log.txt", tmp_path / "store", tmp_path / "out"
    with endpoint(log, 0.15) as url:
        recipe = RECIPE % (url, CONCURRENCY)
        run = Command(tmp_path, str(videos), str(output), str(store), recipe=recipe, workers=WORKERS)
        at_kills = []
        for share in (0.2, 0.6):
            driver = run.start()
            assert until(lambda share=share: replies(store) >= WINDOWS * share, 60)  # type: ignore[misc]
            run.kill(driver)
            at_kills.append((replies(store), len(paid(log))))
        summary = json.loads(run.finish())
    asked = Counter(paid(log))
    assert len(asked) == replies(store) == WINDOWS
    under_way = sum(requests - known for known, requests in at_kills)
    assert sum(asked.values()) <= WINDOWS + under_way <= WINDOWS + 4 * WORKERS * CONCURRENCY
    assert summary["kept"] == 2 * VIDEOS
    assert not leftovers(str(output))
    whole = tmp_path / "whole"
    whole.mkdir()
    with endpoint(tmp_path / "second.txt", 0.0) as url:
        recipe = RECIPE % (url, CONCURRENCY)
        Command(whole, str(videos), str(whole / "out"), str(whole / "store"), recipe=recipe).finish()
    named_by_url = {"_sluice/lock.json", "_sluice/lock.yaml", "dataset.json"}
    once, often = results(str(whole / "out")), results(str(output))
    assert {n: d for n, d in once.items() if n not in named_by_url} == {
        n: d for n, d in often.items() if n not in named_by_url
    }
