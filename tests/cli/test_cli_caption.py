"""`sluice caption` is the ready recipe with its settings as options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from commands import sluice

import tiny_models
from caption_server import Captioner, completion, pictures_in, text_in
from clip_trees import add_clip, metadata, rendered
from sluice.cli import main
from sluice.model.prompts import prompt_text


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for key, frames in {"a": 60, "b": 3}.items():
        add_clip(tmp_path / "clips", key, rendered(64, 48, frames), metadata(key, []))
    return tmp_path / "clips"


def told(tree: Path, version: str = "v1") -> dict[str, Any]:
    return {key: json.loads((tree / "metas" / version / f"{key}.json").read_text()) for key in "ab"}


@pytest.mark.slow
def test_it_is_the_ready_recipe(tree: Path, tmp_path: Path, captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion(f"A clip of {len(pictures_in(body))} grey frames.")
    options = (
        "--url",
        captioner.url,
        "--model",
        "m",
        "--prompt",
        "driving",
        "--price-in",
        "2",
        "--max-tokens",
        "77",
    )
    done = sluice("caption", "clips", *options, "--workers", "1", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.document["kept"] == 2
    assert done.document["spent"]["video_caption_cost_usd"] == pytest.approx(200 / 1e6)
    assert text_in(captioner.bodies[0]) == prompt_text("driving", "video")
    assert captioner.bodies[0]["max_tokens"] == 77
    assert told(tree)["a"]["windows"][0]["m_caption"] == "A clip of 4 grey frames."
    assert told(tree)["b"]["has_caption"] is False
    assert (tmp_path / "sluice-store" / "journal").is_dir()
    assert "tokens" in Path(done.document["report"].removeprefix("file://")).read_text()
    assert sluice("verify", "clips/metas/v1", cwd=tmp_path).code == 0
    caption = f"steps.1.measure.0.video_caption.url={captioner.url}"
    probe = ("--source", "clips", "--output", "clips/metas/v2", "--store", "sluice-store", "--set", caption)
    done = sluice("plan", "video-annotate", *probe, "--probe", "2", "--workers", "0", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "video_caption_tokens_in of all: 100" in done.out
    asked = len(captioner.bodies)
    again = sluice("caption", "clips", *options, "--workers", "0", "--json", cwd=tmp_path)
    assert again.code == 0, again.err
    assert len(captioner.bodies) == asked
    shard = (
        "shard",
        "--input-clip-path",
        "clips",
        "--output-dataset-path",
        "out",
        "--annotation-version",
        "v1",
    )
    done = sluice(*shard, "--text-encoder", "none", "--keep-low", "--workers", "0", cwd=tmp_path)
    assert done.code == 0, done.err
    tars = b"".join(path.read_bytes() for path in (tmp_path / "out" / "v1").rglob("metas/**/*.tar"))
    assert b"A clip of 4 grey frames." in tars


@pytest.mark.slow
def test_a_model_on_this_machine_and_a_second_stage(tree: Path, tmp_path: Path, captioner: Captioner) -> None:
    model = tiny_models.blip_captioner(tmp_path / "blip")
    options = (
        "--local",
        "--model",
        model,
        "--language",
        "any",
        "--rewrite-model",
        "w",
        "--rewrite-url",
        captioner.url,
    )
    done = sluice(
        "caption", "clips", *options, "--annotation-version", "local", "--workers", "0", cwd=tmp_path
    )
    assert done.code == 0, done.err
    kinds = {each["kind"]: each["model"] for each in told(tree, "local")["a"]["windows"][0]["captions"]}
    assert kinds == {"caption": model, "enhanced_caption": "w"}
    assert text_in(captioner.bodies[0]).startswith(prompt_text("rewrite", "text"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--annotation-version v0", "is the version that is read"),
        ("--local --url http://127.0.0.1:9/v1", "means nothing with --local"),
        ("--rewrite-url http://127.0.0.1:9/v1", "needs --rewrite-model"),
        ("--local --rewrite-model w", "needs --rewrite-url"),
        ("--from-version v7", "v0"),
        ("--url localhost:8000", "base of an API"),
        ("--prompt no-such-prompt", "driving"),
    ],
)
def test_what_is_wrong_is_said(tree: Path, options: str, said: str) -> None:
    done = CliRunner().invoke(main, ["caption", str(tree), *options.split(), "--workers", "0", "--quiet"])
    assert done.exit_code in (2, 3)
    assert said in done.output
