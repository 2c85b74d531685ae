"""Transformers models that write about a picture: captioners that need no words, and models that chat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sluice.model.endpoint import Reply
from sluice.model.files import find
from sluice.model.preprocess import preprocess
from sluice.model.pretrained import damaged, pretrained, quiet, require, tokenizer, transformers_module
from sluice.model.runner import BatchSize, Forward, Load, Runner

Rgb = NDArray[np.uint8]

DEFAULT = "Salesforce/blip-image-captioning-base"
_KIND = "AutoModelForImageTextToText"


def chats(folder: str) -> bool:
    """Whether a model is asked in a chat: it has a template for one."""
    path = Path(folder)
    if any((path / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    files = [path / name for name in ("tokenizer_config.json", "processor_config.json")]
    return any("chat_template" in json.loads(f.read_text(encoding="utf-8")) for f in files if f.is_file())


def plain(path: str, *, device: str, dtype: Any, max_tokens: int) -> Forward:
    """`pixel_values` [batch, 3, H, W] to the ids of what is written [batch, length], the start token left out."""
    model, made_float = pretrained(_KIND, path, device, dtype), preprocess(path).on

    def forward(inputs: dict[str, Any]) -> Any:
        pixels = made_float(inputs["pixel_values"]).to(dtype)
        return _greedy(model, max_tokens, pixel_values=pixels)[:, 1:]

    return forward


def chatting(path: str, *, device: str, dtype: Any, max_tokens: int) -> Forward:
    """What the model's own processor made of one question and picture, in a batch of one, to the answer's ids."""
    model = pretrained(_KIND, path, device, dtype)

    def forward(inputs: dict[str, Any]) -> Any:
        given = {
            name: tensor[0].to(dtype) if tensor.is_floating_point() else tensor[0]
            for name, tensor in inputs.items()
        }
        return _greedy(model, max_tokens, **given)[:, given["input_ids"].shape[1] :]

    return forward


def _greedy(model: Any, max_tokens: int, **inputs: Any) -> Any:
    """The likeliest token each time, whatever the model's own file says of sampling and beams."""
    with quiet():
        return model.generate(
            **inputs,
            max_new_tokens=max_tokens,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
        )


class Captioner:
    """A local captioner: any model of transformers that makes text of a picture (`AutoModelForImageTextToText`).

    One with a chat template (LLaVA, Qwen-VL and kin) is asked `prompt` about one picture, or the frames of one clip,
    at a time, as its processor prepares them; any other (BLIP, GIT, a ViT with a text decoder) just writes, in batches,
    and of several frames sees the middle one. Decoding is greedy, `max_tokens` long at most.
    """

    def __init__(
        self, model: str, prompt: str, *, max_tokens: int, device: str, dtype: str, batch_size: BatchSize
    ) -> None:
        self._folder, self._prompt = str(find(model)), prompt
        self.chats = chats(require(self._folder).as_posix())
        function = "chatting" if self.chats else "plain"
        load = Load(f"sluice.model.captioner:{function}", self._folder, (("max_tokens", max_tokens),))
        size: BatchSize = 1 if self.chats else batch_size
        self._runner = Runner(load, device=device, dtype=dtype, batch_size=size)
        self.runs_on = (self._runner.device, self._runner.dtype)

    def open(self) -> Captioner:
        """Load the model and what prepares its inputs."""
        self._runner.open()
        processor = _processor(self._folder) if self.chats else None
        self._processor: Any = processor
        self._tokens = tokenizer(self._folder) if processor is None else processor.tokenizer
        self._ends = _ends(self._folder, self._tokens)
        return self

    def __call__(self, shown: Sequence[Sequence[Rgb]]) -> list[Reply]:
        """What it writes of RGB pictures [H, W, 3]: a reply to each single one, or to all frames of a clip together."""
        rows = [
            self._asked(frames) if self.chats else self._seen(frames[len(frames) // 2]) for frames in shown
        ]
        return [self._reply(ids) for ids in self._runner(rows)]

    def _seen(self, rgb: Rgb) -> dict[str, Any]:
        return {"pixel_values": preprocess(self._folder)(rgb)}

    def _asked(self, frames: Sequence[Rgb]) -> dict[str, Any]:
        content = [*({"type": "image"} for _ in frames), {"type": "text", "text": self._prompt}]
        chat = [{"role": "user", "content": content}]
        text = self._processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        return dict(self._processor(text=[text], images=[*map(Image.fromarray, frames)], return_tensors="np"))

    def _reply(self, ids: NDArray[Any]) -> Reply:
        """The text of ids that came as float32, which holds every id of a vocabulary below 16 million."""
        tokens = [int(value) for value in ids]
        end = next((k for k, token in enumerate(tokens) if token in self._ends), None)
        text: str = self._tokens.decode(tokens[:end], skip_special_tokens=True)
        finish = "length" if end is None else "stop"
        return Reply(text, finish, tokens_out=len(tokens) if end is None else end + 1)


def _processor(folder: str) -> Any:
    try:
        with quiet():
            return transformers_module().AutoProcessor.from_pretrained(
                folder, local_files_only=True, backend="pil"
            )
    except Exception as error:
        raise damaged(folder, "processor", error) from error


def _ends(folder: str, tokens: Any) -> frozenset[int]:
    """Ids that end what is written: the tokenizer's, and those of the model's `generation_config.json`."""
    path = Path(folder) / "generation_config.json"
    told = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
    own = told if isinstance(told, list) else [told]
    return frozenset(t for t in (*own, tokens.eos_token_id, tokens.sep_token_id) if t is not None)
