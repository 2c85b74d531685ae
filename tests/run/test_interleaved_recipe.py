"""The ready recipe of interleaved documents, from Parquet to tars: real pictures, bad ones, one huge document."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from journeys import balanced, digests, fates_of
from PIL import Image, ImageFilter

from sluice.errors import MissingError
from sluice.readers import open_reader
from sluice.recipe.load import load
from sluice.run import run
from sluice.run.convert import convert
from sluice.run.verify import verify
from sluice.sample import Item, Media, Sample
from sluice.storage import Location
from sluice.store.opened import Run
from sluice.writers import open_writer

PARQUET, WDS = "interleaved-parquet", "interleaved-webdataset"


def png(size: tuple[int, int], seed: int, blur: float = 0) -> bytes:
    rng = np.random.default_rng(seed)
    picture = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    out = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(blur)).save(out, "PNG", compress_level=1)
    return out.getvalue()


SHARP, BLURRED, ICON = png((200, 180), 1), png((200, 180), 2, blur=9), png((40, 40), 3)
HUGE = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
BOMB = b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    for chunk in (HUGE, b"IDAT" + zlib.compress(bytes(1000)), b"IEND")
)


def document(key: str, *parts: str | bytes) -> Sample:
    items = [Item("metadata", "application/json", "json")]
    for k, part in enumerate(parts):
        if isinstance(part, str):
            items.append(Item("text", "text/plain", f"{k}.txt", part))
        else:
            items.append(Item("image", "image/png", f"{k}.png", media=Media(size=len(part), data=part)))
    return Sample(key, key, tuple(items), {"url": f"https://example.org/{key}", "n": None})


DOCUMENTS = [
    document("whole", "one", SHARP, "two"),
    document("thinned", "one", BLURRED, "two", png((200, 200), 4), ICON, "three"),
    document("again", "one", SHARP, "two", png((210, 200), 5)),
    document("texts", "only", "texts"),
    document("pictures", png((220, 200), 6), png((230, 200), 7)),
    document("bomb", "one", BOMB, "two", png((240, 200), 8)),
    document("broken", "one", SHARP[:500], "two"),
    document("emptied", BLURRED, ICON),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents") / "in"
    assert open_writer(Location(folder), PARQUET).write_shard(0, DOCUMENTS, None).failed == {}
    return folder


def go(source: Path, output: Path, *settings: str, **options: Any) -> dict[str, Any]:
    recipe = load("interleaved", ["max_failed=50%", *settings], source=str(source))
    return run(recipe, output=str(output), **{"workers": 0, "quiet": True, **options})


def read(output: Path) -> dict[str, list[Any]]:
    """The documents of an output by key: their texts, and the sizes of their pictures."""
    reader = open_reader(str(output), format=WDS)
    found = {}
    for sample in (s for part in reader.slices() for s in reader.read(part)):
        content = [item for item in sample.items if item.modality != "metadata"]
        assert [item.name.partition(".")[0] for item in content] == [str(k) for k in range(len(content))]
        assert dict(sample.fields) == {"url": f"https://example.org/{sample.key}", "n": None}
        found[sample.key] = [
            item.text if item.media is None else Image.open(io.BytesIO(item.media.read())).size
            for item in content
        ]
    return found


def test_from_parquet_to_tars_without_weights(source: Path, tmp_path: Path) -> None:
    summary = go(source, tmp_path / "out")
    assert balanced(summary)
    assert read(tmp_path / "out") == {
        "whole": ["one", (200, 180), "two"],
        "thinned": ["one", "two", (200, 200), "three"],
        "again": ["one", "two", (210, 200)],
        "bomb": ["one", "two", (240, 200)],
    }
    fates = fates_of(tmp_path / "out")
    assert {key: (row["fate"], row["reason"]) for key, row in fates.items() if row["fate"] != "kept"} == {
        "texts": ("dropped", None),
        "pictures": ("dropped", None),
        "broken": ("dropped", None),
        "emptied": ("dropped", "no content left"),
    }
    lost = {(row["rule"], row["fate"]) for row in fates["thinned"]["items_dropped"]}
    assert lost == {("blurred", "dropped"), ("icon or banner", "dropped")}
    assert [(r["fate"], r["reason"]) for r in fates["bomb"]["items_dropped"]] == [("failed", "bomb")]
    assert verify(Run.open(str(tmp_path / "out")).place, quiet=True)["kept"] == 4


def test_workers_and_a_second_run_make_the_same_bytes(source: Path, tmp_path: Path) -> None:
    go(source, tmp_path / "a" / "out")
    go(source, tmp_path / "b" / "out", workers=2)
    assert digests(tmp_path / "a" / "out") == digests(tmp_path / "b" / "out")
    before = digests(tmp_path / "a" / "out")
    go(source, tmp_path / "a" / "out")
    assert digests(tmp_path / "a" / "out") == before


def test_the_same_documents_from_tars_give_the_same(source: Path, tmp_path: Path) -> None:
    convert(str(source), str(tmp_path / "tars"), to=WDS, quiet=True)
    go(tmp_path / "tars", tmp_path / "out")
    go(source, tmp_path / "other" / "out")
    assert read(tmp_path / "out") == read(tmp_path / "other" / "out")


def test_alignment_is_turned_on_by_options(
    source: Path, tmp_path: Path, tiny_model: Callable[[str], str]
) -> None:
    on = ["steps.3.measure.off=false", "steps.4.drop_items.off=false"]
    with pytest.raises(MissingError, match="clip"):
        go(source, tmp_path / "none", *on)
    model = json.dumps(
        [{"image_text_similarity": {"pair": "any", "with": {"clip": {"model": tiny_model("clip")}}}}]
    )
    on += [f"steps.3.measure.operators={model}", "steps.4.drop_items.rule=image_text_similarity < 2"]
    summary = go(source, tmp_path / "out", *on)
    assert balanced(summary)
    assert summary["kept"] == 0, "a cosine is below 2: every picture falls"
    assert {row["rule"] for row in fates_of(tmp_path / "out")["whole"]["items_dropped"]} == {
        "no text about it"
    }


def test_ten_thousand_pictures_in_one_document(tmp_path: Path) -> None:
    doc = {"texts": ["x", *[None] * 10_000], "images": [None, *["i.png"] * 10_000]}
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "a.tar", "w") as tar:
        for name, data in (("i.png", png((8, 8), 1)), ("a.json", json.dumps(doc).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    recipe = load(
        "interleaved", ["steps=[{keep: count(image_width_px = 8) = 10000}]"], source=str(tmp_path / "in")
    )
    summary = run(recipe, output=str(tmp_path / "out"), workers=0, quiet=True)
    assert (summary["read"], summary["kept"]) == (1, 1)
    reader = open_reader(str(tmp_path / "out"), format=WDS)
    (again,) = [s for part in reader.slices() for s in reader.read(part)]
    assert len(again.of("image")) == 10_000


def test_two_items_at_one_index_are_the_text_then_the_image(tmp_path: Path) -> None:
    doc = {"texts": ["x", "y"], "images": ["i.png", None]}
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in (("i.png", ICON), ("a.json", json.dumps(doc).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    reader = open_reader(str(tmp_path), format=WDS)
    (sample,) = [s for part in reader.slices() for s in reader.read(part)]
    assert [item.name for item in sample.items] == ["json", "0.txt", "1.png", "2.txt"]
