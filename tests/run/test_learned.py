"""A whole run with models: real photographs and captions in, scores and embeddings in the Parquet beside shards."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from journeys import balanced, go
from PIL import Image

from sluice.errors import MissingError
from sluice.operator import Program, registry
from sluice.sample import Item, Media, Sample

MLP = "models/improved-aesthetic-predictor__sac+logos+ava1-l14-linearMSE.pth"
SCORES = ("image_aesthetics", "image_text_similarity")


def _captioned(data: Path) -> dict[str, tuple[bytes, str | None]]:
    """Pictures of the Data-Juicer demo with their captions; one without, a strip, a pixel, and a broken one."""
    lines = (data / "captions" / "data-juicer__demo-dataset-images.jsonl").read_text().splitlines()
    found: dict[str, tuple[bytes, str | None]] = {}
    for entry in map(json.loads, lines):
        name = Path(entry["images"][0]).name
        path = data / "photos" / f"data-juicer__{name}"
        found[path.stem] = (path.read_bytes(), entry["text"].removeprefix("<__dj__image> "))
    cat = (data / "photos" / "data-juicer__cat.jpg").read_bytes()
    found |= {
        "cat": (cat, None),
        "endless": (cat, "a cat on the red grass " * 5000),
        "broken": (cat[:900], "A cat."),
    }
    for name, size in (("pixel", (1, 1)), ("strip", (10_000, 1))):
        target = io.BytesIO()
        Image.new("RGB", size, (90, 120, 30)).save(target, "PNG")
        found[name] = (target.getvalue(), f"A {name}.")
    return found


def _pack(folder: Path, members: dict[str, tuple[bytes, str | None]]) -> None:
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as tar:
        for key, (picture, caption) in members.items():
            files = {f"{key}.jpg": picture, **({f"{key}.txt": caption.encode()} if caption else {})}
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def _rows(output: Path) -> dict[str, dict[str, Any]]:
    """The rows of the table beside the one shard, by key."""
    return {row["key"]: row for row in pq.read_table(output / "00000.parquet").to_pylist()}


def _steps(model: str, head: str) -> str:
    clip = f"with: {{clip: {{model: {model}, dtype: float32}}}}"
    return "\n".join(
        [
            f"  - measure: {{clip_embedding: {{{clip}}}}}",
            f"  - measure: {{image_aesthetics: {{head: '{head}', {clip}}}}}",
            f"  - measure: {{image_text_similarity: {{{clip}}}}}",
            "  - keep: {rule: image_aesthetics >= -1000, name: plain}",
        ]
    )


def test_scores_and_embeddings_lie_beside_the_shards(
    tiny_model: Callable[[str], str], data_dir: Path, tmp_path: Path
) -> None:
    members = _captioned(data_dir)
    _pack(tmp_path / "in", members)
    head = str(data_dir / MLP)
    summary = go(tmp_path, _steps(tiny_model("clip"), head), write="embeddings: float32")
    assert balanced(summary)
    assert (summary["kept"], summary["failed"]) == (len(members) - 1, 1)
    rows = _rows(tmp_path / "out")
    assert set(rows) == set(members) - {"broken"}
    clip = {"clip": {"model": tiny_model("clip"), "dtype": "float32"}}
    instances = [
        registry().bind("clip_embedding", with_=clip),
        registry().bind("image_aesthetics", {"head": head}, with_=clip),
        registry().bind("image_text_similarity", with_=clip),
    ]
    for key, row in rows.items():
        picture, caption = members[key]
        items = (Item("image", media=Media(data=picture)), *([Item("text", text=caption)] if caption else []))
        expected = Program(instances)([Sample(id=key, key=key, items=items)]).columns
        assert np.abs(np.array(row["clip_embedding"]) - expected["clip_embedding"][0][0]).max() < 1e-6
        for name in SCORES:
            assert row[name] == pytest.approx(expected[name][0][0], abs=1e-5), (key, name)
    assert [key for key, row in rows.items() if row["image_text_similarity"] is None] == ["cat"]


def test_a_model_that_is_not_here_ends_the_run_before_it_begins(tmp_path: Path, data_dir: Path) -> None:
    _pack(tmp_path / "in", {"cat": _captioned(data_dir)["cat"]})
    with pytest.raises(MissingError, match="sluice models fetch openai/clip-vit-large-patch14") as caught:
        go(tmp_path, "  - measure: {clip_embedding: {}}")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("*.tar"))
