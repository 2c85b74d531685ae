"""Small models in the place of those that operators name by default and that no test machine has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import caption_server
import onnx_files
import tiny_models
import tiny_text_models
from sluice.operator import Instance, registry
from sluice.operator.spec import Contents

MAKERS: dict[str, Callable[[Path], str]] = {
    "openai/clip-vit-large-patch14": tiny_models.clip,
    "laion-aesthetics-mlp": tiny_models.aesthetics_head,
    "laion-nsfw": tiny_models.nsfw_head,
    "Falconsai/nsfw_image_detection": tiny_models.classifier,
    "amrul-hzz/watermark_detector": tiny_models.classifier,
    "Salesforce/blip-itm-base-coco": tiny_models.blip_matching,
    "Salesforce/blip-image-captioning-base": tiny_models.blip_captioner,
    "google/owlvit-base-patch32": tiny_models.owlvit,
    "sentence-transformers/all-MiniLM-L6-v2": tiny_models.sentences,
    "google/t5-v1_1-xxl": tiny_models.t5,
    "en_core_web_sm": tiny_models.tagger,
    "en_core_web_md": tiny_text_models.parser,
    "clip-bpe": tiny_text_models.byte_pairs,
    "kenlm-wikipedia-en": tiny_text_models.ngrams_and_pieces,
    "ultraface-rfb-320": onnx_files.bright_faces,
    "PP-OCRv6_det_small": onnx_files.bright_text,
    "PP-OCRv6_rec_small": onnx_files.column_reader,
}
"""By the name of a model, what makes one of its kind at a path."""

REQUIRED: dict[str, Callable[[Path], dict[str, Any]]] = {
    "image_onnx_classifier": lambda folder: {
        "model": onnx_files.mean_classifier(folder / "classifier.onnx"),
        "label": 0,
    },
    "image_reference_similarity": lambda folder: {"reference": _vectors(folder, tiny_models.CLIP_SIZE)},
    "text_reference_similarity": lambda folder: {"reference": _vectors(folder, 32)},
    "sample_rename_metadata": lambda folder: {"names": {"width": "width_px"}},
    "image_caption": lambda folder: {"url": caption_server.standing(), "model": "describer"},
    "video_caption": lambda folder: {"url": caption_server.standing(), "model": "describer"},
    "video_caption_rewritten": lambda folder: {
        "url": caption_server.standing(),
        "model": "writer",
        "by": "local",
    },
    "video_vlm": lambda folder: {"url": caption_server.standing(), "model": "describer"},
    "video_content_type": lambda folder: {"url": caption_server.standing(), "model": "describer"},
}
"""By the name of an operator, the settings for which it has no defaults."""


def _vectors(folder: Path, size: int) -> str:
    path = folder / f"reference-{size}.npy"
    np.save(path, np.random.default_rng(0).normal(size=(5, size)).astype(np.float32))
    return str(path)


def bind(name: str, folder: Path, over: str | None = None, **more: Any) -> Instance:
    """The operator with its defaults, except that models of `MAKERS` are small ones, kept in the folder.

    `more` are further settings; `over` is passed on, and names the column.
    """
    own = REQUIRED[name](folder) if name in REQUIRED else {}
    settings: dict[str, dict[str, Any]] = {name: own}
    for instance in registry().bind(name, own).closure():
        for setting in instance.spec.marked(Contents):
            model = instance.settings[setting]
            if isinstance(model, str) and model in MAKERS:
                settings.setdefault(instance.spec.name, {})[setting] = _made(model, folder)
    alias = f"{over}_{name}" if over else None
    return registry().bind(name, settings.pop(name) | more, with_=settings, over=over, alias=alias)


def _made(model: str, folder: Path) -> str:
    path = folder / model.replace("/", "--")
    known = min(folder.glob(f"{path.name}*"), default=None)
    return str(known) if known else MAKERS[model](path)
