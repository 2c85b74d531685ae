"""Sharding is killed while tars are written; the same command ends in the same bytes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Command, contents, leftovers, results

from clip_trees import TEXTS, add_clip, metadata, window
from processes import until
from sluice.storage import Location

CLIPS = 40
RECIPE = """
source: {path: clips/, format: clips}
steps:
  - keep: {rule: valid = true, name: not valid}
write:
  path: out/
  format: video-shards
  shard_size: 1500KB
  partition_by: framerate
  settings: {text_encoder: none, part_tars: 2}
max_failed: 5%
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two partitions, 1 MB each: bytes are copied, whatever they are."""
    folder, chance = tmp_path_factory.mktemp("clips"), random.Random(3)
    for k in range(CLIPS):
        told = metadata(f"clip-{k:02d}", [window(0, TEXTS[k % 3])], framerate=24 + k % 2)
        add_clip(folder, f"clip-{k:02d}", chance.randbytes(1_000_000), told)
    return folder


def test_killed_while_writing_a_training_set_ends_in_the_same_bytes(source: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, str(source), str(tmp_path / "out"), str(tmp_path / "store"), recipe=RECIPE)
    summary = json.loads(command.finish())
    assert (summary["kept"], summary["shards"]) == (CLIPS, CLIPS)
    undisturbed = results(command.output)
    assert sum(name.endswith("wdinfo.json") for name in undisturbed) == 2
    for url in (command.output, command.store):
        Location(url).delete_tree()
    ledger = Path(command.output) / "_sluice/shards"
    for shards in (1, 12, 30):
        driver = command.start()

        def reached(wanted: int = shards, driver: Any = driver) -> bool:
            return len([*ledger.glob("*.json")]) >= wanted or driver.poll() is not None

        assert until(reached, 60)
        assert driver.poll() is None, "the run was over before it was killed"
        command.kill(driver)
        there = contents(command.output).items()
        whole = {name: digest for name, digest in there if name.endswith(".tar")}
        assert whole.items() <= undisturbed.items()  # under its name is only what is whole
    command.finish()
    assert leftovers(command.output) == leftovers(command.store) == []
    assert results(command.output) == undisturbed
