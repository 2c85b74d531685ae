"""Captions by a local model: those of a plain pass of transformers, alone or in company, and kept in the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sluice.errors import MissingError
from sluice.model import journal
from sluice.model.pretrained import quiet
from sluice.model.prompts import prompt_text
from sluice.operator import Measured, Program, registry
from sluice.sample import Item, Media, Sample
from sluice.storage import Location

Tiny = Callable[[str], str]


@pytest.fixture(autouse=True)
def _store(tmp_path: Path) -> Iterator[None]:
    journal.use(Location(str(tmp_path)))
    yield
    journal.use(None)


@pytest.fixture(scope="module")
def pictures(data_dir: Path) -> list[bytes]:
    names = ("data-juicer__cat.jpg", "Pillow__hopper.jpg", "LLaVA__waterview.jpg")
    return [(data_dir / "photos" / name).read_bytes() for name in names]


def captions(pictures: list[bytes], **settings: Any) -> Measured:
    made = [
        Sample(id=str(k), key=str(k), items=(Item("image", media=Media(data=data)),))
        for k, data in enumerate(pictures)
    ]
    return Program([registry().bind("image_caption_local", settings)])(made)


def column(measured: Measured, name: str = "text") -> list[Any]:
    return [value for values in measured.columns[f"image_caption_local_{name}"] for value in values]


def rgb(data: bytes) -> Image.Image:
    from sluice.codec import decode

    return Image.fromarray(decode(data))


def test_blip_writes_what_it_writes_in_transformers(tiny_model: Tiny, pictures: list[bytes]) -> None:
    import torch
    import transformers

    folder = tiny_model("blip_captioner")
    with quiet():
        model = transformers.BlipForConditionalGeneration.from_pretrained(folder).eval()
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        tokens = transformers.AutoTokenizer.from_pretrained(folder)
    expected = []
    with torch.inference_mode():
        for data in pictures:
            pixels = processor(rgb(data), return_tensors="pt")["pixel_values"]
            ids = model.generate(pixel_values=pixels, max_new_tokens=128, do_sample=False)[0]
            expected.append(tokens.decode(ids[1:], skip_special_tokens=True).strip())
    found = captions(pictures, model=folder)
    assert column(found) == expected
    assert len(set(expected)) > 1
    assert set(column(found, "model")) == {folder}


def test_a_model_that_chats_is_asked_the_prompt(tiny_model: Tiny, pictures: list[bytes]) -> None:
    import torch
    import transformers

    folder = tiny_model("llava")
    with quiet():
        model = transformers.LlavaForConditionalGeneration.from_pretrained(folder).eval()
        processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
    expected = []
    with torch.inference_mode():
        for data in pictures:
            inputs = processor(
                text=[f"<image> {prompt_text('short')} a"], images=[rgb(data)], return_tensors="pt"
            )
            ids = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0]
            written = ids[inputs["input_ids"].shape[1] :]
            ended = processor.tokenizer.eos_token_id in written.tolist()
            text = processor.tokenizer.decode(written, skip_special_tokens=True).strip()
            expected.append(text if ended else None)
    found = captions(pictures, model=folder, prompt="short", max_tokens=12)
    assert column(found) == expected
    assert column(found, "tokens_out") == [12] * 3
    reasons = {note.reason for notes in found.notes for note in notes}
    assert reasons == {"truncated"}
    assert len(set(column(captions(pictures, model=folder, prompt="long", max_tokens=12), "prompt"))) == 1


def test_a_caption_does_not_depend_on_its_company(tiny_model: Tiny, pictures: list[bytes]) -> None:
    folder = tiny_model("blip_captioner")
    together = column(captions(pictures, model=folder, batch_size=2))
    journal.use(None)  # asked again, each alone
    assert [column(captions([data], model=folder, batch_size=2))[0] for data in pictures] == together


def test_what_was_written_once_is_read_from_the_journal(
    tiny_model: Tiny, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tiny_model("blip_captioner")
    first = captions(pictures, model=folder)
    again = captions([*pictures, pictures[0]], model=folder, language="en")
    lines = [line for path in tmp_path.rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == len(pictures)
    assert column(again, "tokens_out")[:3] == column(first, "tokens_out")


def test_a_picture_that_cannot_be_read_costs_itself_only(tiny_model: Tiny, pictures: list[bytes]) -> None:
    found = captions([b"none", pictures[0]], model=tiny_model("blip_captioner"))
    assert column(found)[0] is None
    assert column(found)[1]
    assert [note.kind for note in found.notes[0]] == ["unreadable"]


def test_a_model_of_another_kind_is_told(tiny_model: Tiny, pictures: list[bytes]) -> None:
    with pytest.raises(MissingError):
        captions(pictures, model=tiny_model("classifier"))


def test_decoding_is_greedy_whatever_the_model_says(
    tiny_model: Tiny, tmp_path: Path, pictures: list[bytes]
) -> None:
    import json
    import shutil

    folder = tmp_path / "sampling"
    shutil.copytree(tiny_model("blip_captioner"), folder)
    config = json.loads((folder / "generation_config.json").read_text())
    config |= {"do_sample": True, "num_beams": 3, "temperature": 5.0, "top_k": 50}
    (folder / "generation_config.json").write_text(json.dumps(config))
    greedy = column(captions(pictures, model=tiny_model("blip_captioner")))
    assert column(captions(pictures, model=str(folder))) == greedy
