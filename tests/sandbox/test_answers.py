"""What the built-in models answer: captions and videos as files, which any evaluator can judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import loop_data
import numpy as np
import pytest
import torch
import yaml

from sluice.errors import TrialError
from sluice.sandbox.experiment import scores_of
from sluice.sandbox.proxy.caption_scores import cider
from sluice.sandbox.proxy.captioned import read_captioned
from sluice.sandbox.proxy.planted import Planted, write_planted
from sluice.sandbox.proxy.presets import TEXT_TO_VIDEO
from sluice.sandbox.proxy.text_to_video import KIND, as_pixels, as_videos, generate
from sluice.sandbox.proxy.words import words_of
from sluice.sandbox.registry import Kind, registry
from sluice.sandbox.workflow.config import read_workflow
from sluice.sandbox.workflow.runner import run_workflow


def made(kind: Kind, name: str, **settings: Any) -> Any:
    return registry().get(kind, name).make({"device": "cpu", **settings})


def trained(name: str, data: Path, output: Path, steps: int) -> Path:
    output.mkdir()
    trainer = made("trainer", name, preset="smoke", steps=steps)
    model: Path = trainer.train(data, output, seed=1, log=output / "log.txt").model
    return model


def test_captions_are_those_that_the_evaluator_judges(tmp_path: Path) -> None:
    write_planted(tmp_path / "train", Planted(120, seed=1))
    write_planted(tmp_path / "held-out", Planted(40, seed=2))
    model = trained("image_text", tmp_path / "train", tmp_path / "model", 30)
    how = {"seed": 1, "log": tmp_path / "log.txt"}
    answers = made("inferencer", "image_text").infer(model, tmp_path / "held-out", tmp_path, **how)
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    assert [line["key"] for line in lines] == [f"{k:05d}" for k in range(40)]
    true = [(tmp_path / "held-out" / f"{k:05d}.txt").read_text() for k in range(40)]
    scores = made("evaluator", "image_text").evaluate(model, tmp_path / "held-out", tmp_path, **how)
    written = cider([words_of(line["caption"]) for line in lines], [[words_of(each)] for each in true])
    assert written == pytest.approx(scores["caption_cider"])
    assert written > 0


def test_videos_are_those_that_the_evaluator_judges(tmp_path: Path) -> None:
    write_planted(tmp_path / "train", Planted(40, frames=8, side_px=16, seed=1))
    write_planted(tmp_path / "held-out", Planted(6, frames=8, side_px=16, seed=2))
    model = trained("text_to_video", tmp_path / "train", tmp_path / "model", 10)
    how = {"seed": 3, "log": tmp_path / "log.txt"}
    (tmp_path / "answers").mkdir()
    judge = made("inferencer", "text_to_video", videos=6)
    answers = judge.infer(model, tmp_path / "held-out", tmp_path / "answers", **how)
    form = TEXT_TO_VIDEO["smoke"].shape.form
    found = read_captioned(answers, form)
    assert (found.words == read_captioned(tmp_path / "held-out", form).words).all()
    # What the evaluator makes of the model with this seed, but for what H.264 loses.
    network, _ = KIND.load(model, "cpu")
    noise = torch.Generator().manual_seed(3)
    same = as_pixels(generate(network, torch.from_numpy(found.words), form, noise)).numpy()
    assert np.abs(found.pixels.astype(int) - same.astype(int)).mean() < 4
    # Of captions alone, one a line, the same videos.
    (tmp_path / "prompts.txt").write_text("\n".join((answers / f"{k:05d}.txt").read_text() for k in range(6)))
    (tmp_path / "again").mkdir()
    again = judge.infer(model, tmp_path / "prompts.txt", tmp_path / "again", **how)
    for name in ("00000.mp4", "00005.mp4", "00005.txt"):
        assert (again / name).read_bytes() == (answers / name).read_bytes()
    (tmp_path / "prompts.txt").write_text("\n")
    with pytest.raises(TrialError, match="nothing to make videos of"):
        judge.infer(model, tmp_path / "prompts.txt", tmp_path / "again", **how)


def test_pixels_and_videos_are_each_other_turned_round() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16, 1).expand(2, 3, 16, 16, 3)
    assert torch.equal(as_pixels(as_videos(pixels)), pixels)


def test_an_experiment_judges_the_answers_of_its_models(tmp_path: Path) -> None:
    measured = loop_data.captioned_run(tmp_path)
    write_planted(tmp_path / "held-out", Planted(5, seed=2))
    code = "import sys; print('lines', len(open(sys.argv[1]).readlines()))"
    lines = {
        "program": loop_data.program(code, "{data}"),
        "results": {"format": "regex", "metrics": {"lines": r"lines (\d+)"}},
        "better": {"lines": "higher"},
    }
    proxy = {"image_text": {"preset": "smoke", "steps": 1, "device": "cpu"}}
    infer = {"inferencer": {"image_text": {"device": "cpu"}}, "prompts": str(tmp_path / "held-out")}
    planned = {
        "probe": [{"hook": "pools", "settings": {"run": str(measured), "measures": ["image_width_px"]}}],
        "execute": [
            {"hook": "train", "settings": {"trainer": proxy, "seeds": [1], "arms": ["*-low"]}},
            {"hook": "infer", "settings": infer},
        ],
        "evaluate": [{"hook": "evaluate_model", "settings": {"evaluator": {"command": lines}}}],
    }
    board = run_workflow(read_workflow(yaml.safe_dump(planned)), tmp_path / "e").results
    assert [(s.arm, s.value) for s in scores_of(board["scores"])] == [
        ("control", 5.0),
        ("image_width_px-low", 5.0),
    ]
