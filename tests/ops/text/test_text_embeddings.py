"""Text embeddings equal a plain pass of transformers with the pooling that the model's files ask for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, BertModel, T5EncoderModel

import tiny_models
from sluice.errors import MissingError, PlanError, RecipeError
from sluice.model.text_encoder import layout, token_states
from sluice.operator import Instance, Program, registry
from sluice.sample import Item, Sample

Tiny = Callable[[str], str]
TEXTS = ["a photo of two cats", "the red grass " * 12, "a cat sits on the grass and runs " * 60]


def _samples(*texts: str) -> list[Sample]:
    return [Sample(id=str(k), key=str(k), items=(Item("text", text=text),)) for k, text in enumerate(texts)]


def _bound(name: str, folder: str, **settings: Any) -> Instance:
    return registry().bind(name, {"model": folder, **settings})


def _values(instance: Instance, *texts: str) -> list[Any]:
    return [
        value for entry in Program([instance])(_samples(*texts)).columns[instance.made[0]] for value in entry
    ]


def _states(model: Any, folder: str, text: str, limit: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token states and mask of a plain pass, padded to the next multiple of 64."""
    tokens = AutoTokenizer.from_pretrained(folder)
    used = len(tokens(text, truncation=True, max_length=limit)["input_ids"])
    length = min(limit, -(-used // 64) * 64)
    ids = tokens(text, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    with torch.inference_mode():
        states = model.from_pretrained(folder).eval()(**ids).last_hidden_state
    return states[0], ids["attention_mask"][0].bool()


def _unit(vector: torch.Tensor) -> NDArray[np.float64]:
    precise = vector.double().numpy()
    return np.asarray(precise / np.linalg.norm(precise))


POOLINGS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": lambda states, mask: states[mask].mean(0),
    "cls": lambda states, mask: states[0],
    "max": lambda states, mask: states[mask].max(0).values,
    "mean_sqrt_len": lambda states, mask: states[mask].sum(0) / mask.sum().sqrt(),
}


@pytest.mark.parametrize("pooling", list(POOLINGS))
def test_a_sentence_is_its_pooled_states_at_length_one(tmp_path: Path, pooling: str) -> None:
    folder = tiny_models.sentences(tmp_path, pooling)
    for text, ours in zip(TEXTS, _values(_bound("text_embedding", folder), *TEXTS), strict=True):
        theirs = _unit(POOLINGS[pooling](*_states(BertModel, folder, text, 64)))
        assert np.abs(ours - theirs).max() < 1e-6
        assert np.linalg.norm(ours) == pytest.approx(1, abs=1e-6)


def test_a_plain_transformer_is_averaged(tiny_model: Tiny, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model("sentences"), tmp_path / "plain"))
    for name in ("modules.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    (ours,) = _values(_bound("text_embedding", str(folder)), TEXTS[2])
    assert (
        np.abs(ours - _unit(POOLINGS["mean"](*_states(BertModel, str(folder), TEXTS[2], 128)))).max() < 1e-6
    )


def test_a_prompt_stands_before_the_text(tiny_model: Tiny) -> None:
    folder = tiny_model("sentences")
    (prompted,) = _values(_bound("text_embedding", folder, prompt="a photo of "), "two cats")
    (written, bare) = _values(_bound("text_embedding", folder), "a photo of two cats", "two cats")
    assert np.array_equal(prompted, written)
    assert not np.array_equal(prompted, bare)


def test_blank_texts_have_no_embedding_and_odd_ones_have(tiny_model: Tiny) -> None:
    for name, kind in (("text_embedding", "sentences"), ("text_t5_embedding", "t5")):
        instance = _bound(name, tiny_model(kind))
        texts = ["", " \n", "\ud800", "\x00\u202e\U0001f600", "a" * 3_000_000, "a cat"]
        measured = Program([instance])(_samples(*texts))
        assert [value is None for (value,) in measured.columns[name]] == [
            True,
            True,
            False,
            False,
            False,
            False,
        ]
        assert [[n.reason for n in notes] for notes in measured.notes] == [["no text"]] * 2 + [[]] * 4


def test_a_prompt_does_not_make_a_text_of_nothing(tiny_model: Tiny) -> None:
    assert _values(_bound("text_embedding", tiny_model("sentences"), prompt="query: "), " ") == [None]


def test_a_text_never_depends_on_its_neighbours(tiny_model: Tiny) -> None:
    for name, kind in (("text_embedding", "sentences"), ("text_t5_embedding", "t5")):
        instance = _bound(name, tiny_model(kind))
        together = _values(instance, *TEXTS, "", *TEXTS[::-1])
        for text, value in zip([*TEXTS, "", *TEXTS[::-1]], together, strict=True):
            (alone,) = _values(instance, text)
            assert np.array_equal(alone, value) if text else alone is value is None


def test_t5_is_the_mean_of_its_encoders_states(tiny_model: Tiny) -> None:
    folder = tiny_model("t5")
    for text, ours in zip(TEXTS, _values(_bound("text_t5_embedding", folder), *TEXTS), strict=True):
        states, mask = _states(T5EncoderModel, folder, text, 512)
        assert np.abs(ours - states[mask].mean(0).numpy()).max() < 1e-6


def test_t5_reads_no_more_tokens_than_it_is_told(tiny_model: Tiny) -> None:
    folder = tiny_model("t5")
    (ours,) = _values(_bound("text_t5_embedding", folder, max_tokens=20), TEXTS[2])
    states, mask = _states(T5EncoderModel, folder, TEXTS[2], 20)
    assert mask.sum() == 20
    assert np.abs(ours - states[mask].mean(0).numpy()).max() < 1e-6


def test_the_states_of_every_token_are_at_hand(tiny_model: Tiny) -> None:
    folder = tiny_model("t5")
    ids = AutoTokenizer.from_pretrained(folder)(
        TEXTS[0], padding="max_length", max_length=64, return_tensors="pt"
    )
    forward = token_states(folder, device="cpu", dtype=torch.float32, kind="T5EncoderModel")
    with torch.inference_mode():
        states = forward(dict(ids))
    assert torch.equal(states[0], _states(T5EncoderModel, folder, TEXTS[0], 512)[0])


def test_modules_that_would_change_the_vector_are_refused(tiny_model: Tiny, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model("sentences"), tmp_path / "dense"))
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(
        json.dumps([*modules, {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}])
    )
    with pytest.raises(PlanError, match="'Dense', which is not supported"):
        layout(str(folder))


def test_a_pooling_that_is_not_known_is_refused(tiny_model: Tiny, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model("sentences"), tmp_path / "odd"))
    for content, said in (({"pooling_mode_lasttoken": True}, "lasttoken"), ({}, "nothing")):
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(content))
        with pytest.raises(PlanError, match=f"pools by {said}"):
            layout(str(folder))
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    assert layout(str(folder)).pooling == "cls"


def test_a_model_without_its_poolings_file_is_incomplete(tiny_model: Tiny, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model("sentences"), tmp_path / "cut"))
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(MissingError, match="incomplete"):
        layout(str(folder))


@pytest.mark.parametrize("setting", ["max_tokens", "batch_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_no_tokens_and_empty_batches_are_refused_with_the_recipe(setting: str, value: int) -> None:
    with pytest.raises(RecipeError, match=setting):
        registry().bind("text_t5_embedding", {setting: value})
