"""Another version of clips' metadata is being written when the run is killed: each clip's is whole, or not there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from whole_runs import Command, contents, leftovers, results

from clip_trees import add_clip, metadata, rendered, window
from processes import until
from sluice.readers import open_reader

CLIPS = 800
RECIPE = """
source: {path: in, format: clips, settings: {annotation_version: v0}}
steps:
  - keep: {rule: valid = true, name: not valid}
write:
  path: out
  format: clip-annotations
  shard_samples: 100
  settings: {max_repeats: 2}
"""
OF_THE_PLACE = {"dataset.json", "_sluice/lock.yaml"}
"""Files that tell where the run's places are."""


def tree(folder: Path) -> Path:
    """Clips with a caption each: of every ten three have the same."""
    for number in range(CLIPS):
        said = f"This is clip {number}." if number % 10 > 2 else f"Three of them, {number // 10}."
        key = f"clip-{number:04d}"
        add_clip(folder, key, rendered(64, 48, 5), metadata(key, [window(0, said)]))
    return folder


@pytest.mark.slow
def test_killed_while_metadata_is_written_the_same_command_ends_in_the_same_files(tmp_path: Path) -> None:
    source = tree(tmp_path / "clips")
    whole = command_in(tmp_path / "whole", source, tmp_path / "whole" / "v1")
    assert json.loads(whole.finish())["kept"] == CLIPS
    expected = annotations(whole)
    said = [json.loads((tmp_path / "whole/v1" / name).read_bytes()) for name in sorted(expected)]
    assert sum(told["windows"][0]["qwen_caption"] is None for told in said) == 3 * CLIPS // 10

    command = command_in(tmp_path / "again", source, source / "metas" / "v1")
    output = Path(command.output)
    for what in ("_sluice/shards/*.json", "clip-*.json"):
        driver = command.start()
        assert until(lambda w=what, d=driver: any(output.glob(w)) or d.poll() is not None, 60)  # type: ignore[misc]
        assert driver.poll() is None, f"over before there was {what}"
        command.kill(driver)
        there = annotations(command)
        assert len(there) < CLIPS, f"killed too late for {what}"
        assert there.items() <= expected.items()
        assert bool(there) == what.startswith("clip-")
        assert_read(source, there)
    command.finish()
    assert leftovers(command.output) == []
    assert without_places(command) == without_places(whole)


def command_in(folder: Path, source: Path, output: Path) -> Command:
    folder.mkdir()
    return Command(folder, str(source), str(output), str(folder / "store"), RECIPE)


def annotations(command: Command) -> dict[str, str]:
    """The metadata of clips that stands under its own name, with digests."""
    return {n: d for n, d in contents(command.output).items() if n.startswith("clip-")}


def without_places(command: Command) -> dict[str, str]:
    return {n: d for n, d in results(command.output).items() if n not in OF_THE_PLACE}


def assert_read(source: Path, there: dict[str, str]) -> None:
    """Of the tree so far each clip has its new metadata, whole, or fails for want of it."""
    reader = open_reader(str(source), format="clips", settings={"annotation_version": "v1"})
    found = [sample for part in reader.slices() for sample in reader.read(part)]
    assert len(found) == CLIPS
    for sample in found:
        name = f"{sample.key}.json"
        if name in there:
            (item,) = (item for item in sample.items if item.modality == "metadata")
            assert item.media is not None
            assert hashlib.sha256(item.media.read()).hexdigest() == there[name]
        else:
            assert [note.reason for note in sample.notes] == ["no metadata"]
