"""A run that splits its samples is killed on its way; the same command ends in the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

from whole_runs import Command, contents, leftovers, results

from processes import until
from sluice.storage import Location

RECIPE = """
source: {path: in}
steps:
  - map: text_fix_whitespace
  - split: {text_split_document: {max_characters: 60}}
  - keep: {rule: text_length >= 30, name: short}
  - dedup: {by: text_content_hash, name: same}
  - measure: text_word_count
write: {path: out, shard_samples: 150}
"""
SHARDS, DOCUMENTS = 8, 25
MOMENTS = (("fragments", 1), ("fragments", 9), ("shards", 2))
"""When to kill: once there are so many fragments of units, or finished shards."""


def text_of(number: int) -> str:
    if number % 9 == 4:
        return " \n"
    sentences = [f"Sentence {k} of document {number % 40}, which says a thing or two." for k in range(9)]
    return "\n\n".join(" ".join(sentences[at : at + 3]) for at in range(0, 9, 3))


def source(folder: Path) -> Path:
    folder.mkdir()
    for shard in range(SHARDS):
        numbers = range(shard * DOCUMENTS, (shard + 1) * DOCUMENTS)
        rows = [json.dumps({"key": f"d{n:04d}", "text": text_of(n)}) for n in numbers]
        (folder / f"{shard:03d}.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def done(command: Command, what: str) -> int:
    places = {
        "fragments": (command.store, "fragments/*/*"),
        "shards": (command.output, "_sluice/shards/*.json"),
    }
    root, pattern = places[what]
    return sum(1 for _ in Path(root).glob(pattern))


def test_killed_in_every_phase_a_split_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    command = Command(
        tmp_path, str(source(tmp_path / "in")), str(tmp_path / "out"), str(tmp_path / "store"), RECIPE
    )
    summary = json.loads(command.finish())
    (level,) = summary["levels"]
    assert level["childless"] == sum(not text_of(n).strip() for n in range(SHARDS * DOCUMENTS))
    assert level["children"] == summary["read"] > 5 * level["split"]
    expected = results(command.output), contents(command.store)
    for url in (command.output, command.store):
        Location(url).delete_tree()
    for what, count in MOMENTS:
        driver = command.start()
        assert until(lambda w=what, c=count: done(command, w) >= c or driver.poll() is not None, 60)  # noqa: B023
        assert driver.poll() is None, driver.communicate()
        command.kill(driver)
    again = json.loads(command.finish())
    assert again["levels"] == summary["levels"]
    assert leftovers(command.output) == leftovers(command.store) == []
    assert (results(command.output), contents(command.store)) == expected
