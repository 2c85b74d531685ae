"""Recipes that begin by splitting documents: pairs and chunks are judged and written, and both levels add up."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from journeys import BROKEN, balanced, digests, fates_of, go, members, write_tar
from small_pictures import picture

from sluice.cli import main
from sluice.operator import registry
from sluice.operator.splitting import Family
from sluice.readers import Reader, open_reader
from sluice.readers.derived import derived
from sluice.readers.protocol import Slice
from sluice.run.verify import verify
from sluice.sample import Item, Media, Note, Sample
from sluice.store.opened import Run

CAPTIONS = "  - split: {sample_split_pairs: {text: caption}}\n"
CHUNKS = "  - split: {sample_split_chunks: {max_tokens: %d, tokens_per_image: 10}}\n"
RULES = "  - keep: {rule: image_width_px >= 40, name: narrow}\n  - keep: {rule: text_word_count >= 4, name: terse}\n"
PROSE = "It had rained for days, and nobody went out of doors. " * 8
LEFT = ("doc1_0000.jpg", "doc1_0000.txt")


def documents(folder: Path) -> Path:
    """Five documents in two tars: two with captions, one of prose alone, one of pictures alone, one broken."""
    files: dict[str, bytes] = {
        "doc1.0.txt": PROSE.encode(),
        "doc1.1.jpg": picture(1, 90, 60),
        "doc1.2.txt": b"Two boats on a quiet lake",
        "doc1.3.txt": PROSE.encode(),
        "doc1.4.jpg": picture(2, 30, 60),
        "doc1.5.txt": b"Figure 2: The same boats at night",
        "doc1.json": b'{"licence": "CC0"}',
        "doc2.0.jpg": picture(3, 80, 60),
        "doc2.1.txt": b"A red house",
        "doc2.2.jpg": picture(4, 80, 60),
        "doc2.3.txt": PROSE.encode(),
    }
    write_tar(folder / "in/a.tar", files)
    write_tar(
        folder / "in/b.tar",
        {
            "prose.0.txt": PROSE.encode(),
            "album.0.jpg": picture(5, 80, 60),
            "album.1.jpg": picture(6, 80, 60),
            "odd.0.txt": b"\xff\xfe\xfa",
            "odd.1.jpg": picture(7, 80, 60),
        },
    )
    return folder


def level_of(summary: dict[str, Any], name: str) -> dict[str, Any]:
    """The books of one level."""
    (level,) = (each for each in summary["levels"] if each["name"] == name)
    return cast("dict[str, Any]", level)


def test_captioned_pictures_are_judged_and_written_and_both_levels_add_up(tmp_path: Path) -> None:
    found = go(documents(tmp_path), CAPTIONS + RULES)
    assert balanced(found)
    parents = level_of(found, "parents")
    assert [parents[k] for k in ("read", "split", "childless", "failed", "children")] == [5, 2, 2, 1, 3]
    assert parents["reasons"] == {"childless": {"no pairs": 2}, "failed": {"not UTF-8": 1}}
    fates = fates_of(tmp_path / "out")
    assert {key: (row["fate"], row["rule"]) for key, row in fates.items()} == {
        "doc1_0000": ("kept", None),
        "doc1_0001": ("dropped", "narrow"),
        "doc2_0000": ("dropped", "terse"),
    }
    written = members(tmp_path / "out")
    assert written == {
        "doc1_0000.jpg": picture(1, 90, 60),
        "doc1_0000.txt": b"Two boats on a quiet lake",
        "doc1_0000.json": b'{"licence": "CC0"}',
    }
    assert verify(Run.open(str(tmp_path / "out")).place, quiet=True)["read"] == 3


def test_json_tells_both_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    source, output = tmp_path / "in", tmp_path / "out"
    recipe.write_text(f"source: {source}\nsteps:\n{CAPTIONS}{RULES}write: {output}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="0"):
        main(["run", str(recipe), "--json", "--workers", "0"])
    told = json.loads(capsys.readouterr().out)
    assert balanced(told)
    assert level_of(told, "parents")["children"] == told["read"] == 3


def test_chunks_are_documents_again_whose_texts_joined_are_the_documents(tmp_path: Path) -> None:
    found = go(documents(tmp_path), CHUNKS % 60)
    assert balanced(found)
    assert level_of(found, "parents")["reasons"]["failed"] == {"not UTF-8": 1}
    written = members(tmp_path / "out")
    for key, kinds in (("doc1", "tjttjt"), ("doc2", "jtjt"), ("prose", "t"), ("album", "jj")):
        mine = [(name, data) for name, data in written.items() if name.startswith(f"{key}_")]
        chunks = sorted({name.partition(".")[0] for name, _ in mine})
        assert chunks == [f"{key}_{k:04d}" for k in range(len(chunks))]
        for chunk in chunks:
            names = [name.removeprefix(f"{chunk}.") for name, _ in mine if name.startswith(f"{chunk}.")]
            content = [name for name in names if name != "json"]
            assert [name.partition(".")[0] for name in content] == [str(k) for k in range(len(content))]
            assert ("json" in names) is (key == "doc1")
        texts = b"".join(data for name, data in mine if name.endswith("txt"))
        assert texts.decode() == {
            "doc1": PROSE + "Two boats on a quiet lake" + PROSE + "Figure 2: The same boats at night",
            "doc2": "A red house" + PROSE,
            "prose": PROSE,
            "album": "",
        }[key]  # fmt: skip
        assert sum(name.endswith("jpg") for name, _ in mine) == kinds.count("j")
    reader = open_reader(str(tmp_path / "out"), format="webdataset")
    again = [sample for part in reader.slices() for sample in reader.read(part)]
    assert len(again) == found["kept"]


def test_items_of_chunks_are_dropped_inside_them(tmp_path: Path) -> None:
    steps = CHUNKS % 200 + "  - drop_items: {rule: image_width_px < 40, name: narrow}\n"
    found = go(documents(tmp_path), steps)
    assert balanced(found)
    assert level_of(found, "items")["dropped"] == 1
    assert picture(2, 30, 60) not in members(tmp_path / "out").values()


@pytest.mark.parametrize("split", [CAPTIONS, CHUNKS % 60])
def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path, split: str) -> None:
    documents(tmp_path)
    results = []
    for workers in (0, 2):
        go(
            tmp_path,
            split + RULES.splitlines(keepends=True)[0],
            workers=workers,
            store=str(tmp_path / f"s{workers}"),
        )
        results.append(digests(tmp_path / "out"))
        (tmp_path / "out").rename(tmp_path / f"out{workers}")
    assert results[0] == results[1]


def test_a_picture_that_is_no_picture_costs_its_pair_only(tmp_path: Path) -> None:
    files = {
        "d.0.jpg": BROKEN,
        "d.1.txt": b"Two boats on a lake",
        "d.2.txt": b"A cat asleep",
        "d.3.jpg": picture(1),
    }
    write_tar(tmp_path / "in/a.tar", files)
    found = go(tmp_path, CAPTIONS + "  - keep: image_width_px >= 1\n", "max_failed=100%")
    assert balanced(found)
    assert found["failures"] == {"not an image": 1}
    assert {name for name in members(tmp_path / "out") if name.startswith("d_")} == {
        "d_0001.jpg",
        "d_0001.txt",
    }


class Given:
    """A reader of these samples."""

    format, version, addressable = "given", 1, False

    def __init__(self, *samples: Sample) -> None:
        self._samples = samples

    def slices(self) -> Iterator[Slice]:
        yield Slice((), samples=len(self._samples))

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        return (s for k, s in enumerate(self._samples) if rows is None or k in rows)


def families(sample: Sample, *steps: str) -> list[Family]:
    """What becomes of one sample that goes through these steps."""
    told: list[Family] = []

    class Listener:
        def begins(self, number: int) -> None: ...

        def ended(self, number: int, family: Family) -> None:
            told.append(family)

    reader: Any = derived(cast("Reader", Given(sample)), [registry().bind(step) for step in steps])
    list(reader.attended(Listener(), {}).read(Slice((), samples=1)))
    return told


@pytest.mark.parametrize("steps", [("sample_split_pairs",), ("text_fix_whitespace", "sample_split_pairs")])
def test_a_document_is_split_without_a_picture_that_could_not_be_read(steps: tuple[str, ...]) -> None:
    items = (
        Item("image", "image/jpeg", "0.jpg"),
        Item("text", "text/plain", "1.txt", text="Two boats"),
        Item("image", "image/jpeg", "2.jpg", media=Media(data=b"x")),
    )
    missing = Note("unreadable", "missing member", "0.jpg", "read", 0)
    (family,) = families(Sample("d", "d", items, notes=(missing,)), *steps)
    assert family.note is None
    assert [child.items[0].name for child in family.children] == ["jpg"]
    (whole,) = families(Sample("d", "d", items, notes=(Note("read", "gone"), missing)), *steps)
    assert whole.note == Note("read", "gone")
    captioned = (Item("image", "image/jpeg", "jpg"), Item("text", "text/plain", "txt", text="Two boats"))
    (pair,) = families(Sample("d", "d", captioned, notes=(missing,)), *steps)
    assert pair.note == missing
