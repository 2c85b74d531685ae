"""Models of the real architectures with a few random weights, made on the spot and saved as publishers do.

Each maker writes a folder that the product loads by its ordinary code and returns it as text; equal calls give
equal weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import pre_tokenizers

WORDS = [
    "a",
    "the",
    "cat",
    "dog",
    "two",
    "picture",
    "of",
    "on",
    "red",
    "small",
    "grass",
    "sits",
    "runs",
    "photo",
    ".",
]
SIDE_PX = 32
CLIP_SIZE = 768
"""Numbers of a tiny CLIP's embedding: those of ViT-L/14, so that published heads fit."""


@contextmanager
def _seeded(seed: int = 0) -> Iterator[None]:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _save(folder: Path, make: Callable[[], Any], *companions: Any) -> str:
    from sluice.model.pretrained import quiet

    with _seeded(), quiet():
        for part in (make(), *companions):
            part.save_pretrained(folder)
    return str(folder)


def clip_tokenizer(words: list[str] = WORDS, limit: int = 77) -> Any:
    """A byte-level BPE of CLIP's kind: every byte, every byte at a word's end, and whole words by merges."""
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges = []
    for word in words:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            joined = parts[0] + parts[1]
            if (parts[0], parts[1]) not in merges:
                merges.append((parts[0], parts[1]))
                pieces.append(joined)
            parts[:2] = [joined]
    specials = ["<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: k for k, piece in enumerate([*dict.fromkeys(pieces), *specials])}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=limit)


def bert_tokenizer(limit: int = 512) -> Any:
    """A WordPiece tokenizer that knows the words above, letters, and letters inside words."""
    from transformers import BertTokenizer

    letters = [chr(code) for code in range(33, 127)]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"]
    pieces = dict.fromkeys([*specials, *WORDS, *letters, *(f"##{letter}" for letter in letters)])
    vocab = {piece: k for k, piece in enumerate(pieces)}
    return BertTokenizer(vocab=vocab, model_max_length=limit)


def t5_tokenizer(limit: int = 512, **more: Any) -> Any:
    """A unigram tokenizer of T5's kind: the words above and letters."""
    from transformers import T5Tokenizer

    letters = [chr(code) for code in range(33, 127)]
    pieces = dict.fromkeys(["▁", *(f"▁{word}" for word in WORDS), *letters])
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab = [*specials, *((piece, -3.0 if len(piece) > 1 else -6.0) for piece in pieces)]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=limit, **more)


def _vision(**more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {**sizes, "image_size": SIDE_PX, "patch_size": 8, **more}


def _text(vocabulary: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {**sizes, "vocab_size": vocabulary, **more}


def clip(folder: Path, *, size: int = CLIP_SIZE) -> str:
    """A CLIP with 77 positions and embeddings of `size` numbers."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    tokens = clip_tokenizer()
    ends = {"bos_token_id": tokens.bos_token_id, "eos_token_id": tokens.eos_token_id}
    text = _text(len(tokens), max_position_embeddings=77, pad_token_id=tokens.pad_token_id, **ends)
    config = CLIPConfig(text_config=text, vision_config=_vision(), projection_dim=size)
    square = {"height": SIDE_PX, "width": SIDE_PX}
    pictures = CLIPImageProcessorPil(size={"shortest_edge": SIDE_PX}, crop_size=square)
    return _save(folder, lambda: CLIPModel(config), tokens, pictures)


def siglip(folder: Path) -> str:
    """A SigLIP with 64 positions; its embeddings have 32 numbers."""
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    tokens = t5_tokenizer(64, model_input_names=["input_ids"])  # its publisher's too: padding is read
    ends = {"bos_token_id": 1, "eos_token_id": 1}
    text = _text(len(tokens), max_position_embeddings=64, pad_token_id=0, projection_size=32, **ends)
    config = SiglipConfig(text_config=text, vision_config=_vision())
    pictures = SiglipImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX})
    return _save(folder, lambda: SiglipModel(config), tokens, pictures)


def classifier(folder: Path, labels: tuple[str, ...] = ("normal", "nsfw")) -> str:
    """A vision transformer with one output a label."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    names = dict(enumerate(labels))
    config = ViTConfig(**_vision(), id2label=names, label2id={name: k for k, name in names.items()})
    pictures = ViTImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX})
    return _save(folder, lambda: ViTForImageClassification(config), pictures)


def _blip_config(tokens: Any) -> Any:
    from transformers import BlipConfig

    ends = {"bos_token_id": tokens.convert_tokens_to_ids("[DEC]"), "sep_token_id": tokens.sep_token_id}
    text = _text(
        len(tokens),
        max_position_embeddings=512,
        encoder_hidden_size=32,
        projection_dim=32,
        pad_token_id=tokens.pad_token_id,
        eos_token_id=tokens.sep_token_id,
        **ends,
    )
    return BlipConfig(text_config=text, vision_config=_vision(), projection_dim=32, image_text_hidden_size=32)


def _blip(folder: Path, kind: str) -> str:
    import transformers

    tokens = bert_tokenizer()
    pictures = transformers.BlipImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX})
    config = _blip_config(tokens)
    return _save(folder, lambda: getattr(transformers, kind)(config), tokens, pictures)


def blip_matching(folder: Path) -> str:
    """A BLIP that judges whether a text belongs to a picture."""
    return _blip(folder, "BlipForImageTextRetrieval")


def blip_captioner(folder: Path) -> str:
    """A BLIP that writes captions: of no sense, of some words, and not the same for all pictures."""
    import torch
    from transformers import BlipForConditionalGeneration, BlipImageProcessorPil

    tokens = bert_tokenizer()

    def make() -> Any:
        model = BlipForConditionalGeneration(_blip_config(tokens))
        with torch.no_grad():
            # As configured, its words would depend neither on the picture nor on their place, and never end.
            for name, weights in model.named_parameters():
                if name.startswith("vision_model") and weights.ndim > 1:
                    weights.normal_(0, 0.3)
                elif "crossattention" in name and weights.ndim > 1:
                    weights.mul_(3)
            words = model.text_decoder.bert.embeddings
            words.word_embeddings.weight.mul_(5)
            words.position_embeddings.weight.mul_(30)
            model.text_decoder.cls.predictions.bias[tokens.sep_token_id] = 0.3
        return model

    return _save(folder, make, tokens, BlipImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}))


CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %} {{ part['text'] }}{% endif %}{% endfor %}{% endfor %} a"
)


def llava(folder: Path) -> str:
    """A LLaVA that answers a chat with a picture (without sense)."""
    from transformers import (
        AddedToken,
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokens = clip_tokenizer()
    tokens.add_special_tokens({"additional_special_tokens": [AddedToken("<image>", special=True)]})
    image = tokens.convert_tokens_to_ids("<image>")
    square = {"height": SIDE_PX, "width": SIDE_PX}
    pictures = CLIPImageProcessorPil(size={"shortest_edge": SIDE_PX}, crop_size=square)
    processor = LlavaProcessor(
        pictures,
        tokens,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    text = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
        initializer_range=0.5,
    )
    vision = CLIPVisionConfig(**_vision(), initializer_range=0.5)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=image)
    return _save(folder, lambda: LlavaForConditionalGeneration(config), processor)


def owlvit(folder: Path) -> str:
    """An OWL-ViT: boxes for phrases."""
    from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessorPil

    tokens = clip_tokenizer(limit=16)
    tokens.pad_token = "!"
    ends = {"bos_token_id": tokens.bos_token_id, "eos_token_id": tokens.eos_token_id}
    text = _text(len(tokens), max_position_embeddings=16, pad_token_id=tokens.pad_token_id, **ends)
    config = OwlViTConfig(text_config=text, vision_config=_vision(), projection_dim=32)
    pictures = OwlViTImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX})
    return _save(folder, lambda: OwlViTForObjectDetection(config), tokens, pictures)


def sentences(folder: Path, pooling: str = "mean", *, normalised: bool = True) -> str:
    """A BERT in the layout of sentence-transformers: `modules.json`, `1_Pooling`, perhaps `2_Normalize`."""
    from transformers import BertConfig, BertModel

    tokens = bert_tokenizer(limit=128)
    config = BertConfig(**_text(len(tokens), max_position_embeddings=128, pad_token_id=0))
    _save(folder, lambda: BertModel(config), tokens)
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalised else [])]
    modules = [
        {
            "idx": k,
            "name": str(k),
            "path": f"{k}_{kind}" if k else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for k, kind in enumerate(kinds)
    ]
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    flags = {f"pooling_mode_{mode}": mode.startswith(pooling) for mode in modes}
    if pooling == "mean":
        flags["pooling_mode_mean_sqrt_len_tokens"] = False
    (folder / "1_Pooling").mkdir(exist_ok=True)
    files = {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": 32, **flags},
        "sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": False},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return str(folder)


def t5(folder: Path) -> str:
    """A T5 of version 1.1, of which the encoder is used."""
    from transformers import T5Config, T5EncoderModel

    tokens = t5_tokenizer()
    config = T5Config(
        vocab_size=len(tokens),
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return _save(folder, lambda: T5EncoderModel(config), tokens)


TAGS = {
    "DT": ["a", "the"],
    "JJ": ["red", "small", "quick", "brown", "lazy"],
    "NN": ["cat", "dog", "picture", "grass", "photo", "fox"],
    "NNS": ["cats", "dogs", "days"],
    "VBZ": ["sits", "runs", "jumps"],
    "IN": ["of", "on", "over", "in"],
    "CD": ["two"],
}


def tagger(folder: Path) -> str:
    """A spaCy pipeline that knows the Penn Treebank tags of a few English words."""
    import spacy

    pipeline = spacy.blank("en")
    rules: Any = pipeline.add_pipe("attribute_ruler")
    for tag, words in TAGS.items():
        rules.add([[{"LOWER": {"IN": words}}]], {"TAG": tag})
    pipeline.to_disk(folder)
    return str(folder)


def nsfw_head(path: Path, size: int = CLIP_SIZE) -> str:
    """A head of the LAION CLIP-based NSFW detector's shape in its PyTorch layout, as safetensors."""
    random = np.random.default_rng(0)
    tensors = {
        "norm.mean": random.normal(0, 0.02, size).astype(np.float32),
        "norm.variance": random.uniform(0.5, 2, size).astype(np.float32) / size,
    }
    return _head(path, [f"linear_{k}" for k in (1, 2, 3, 4)], [size, 64, 512, 256, 1], tensors)


def aesthetics_head(path: Path, size: int = CLIP_SIZE) -> str:
    """A head of the improved aesthetic predictor's shape, as safetensors."""
    return _head(path, [f"layers.{k}" for k in (0, 2, 4, 6, 7)], [size, 1024, 128, 64, 16, 1], {})


def _head(path: Path, names: list[str], sizes: list[int], tensors: dict[str, Any]) -> str:
    from safetensors.numpy import save_file

    random = np.random.default_rng(1)
    for name, (before, after) in zip(names, pairwise(sizes), strict=True):
        tensors[f"{name}.weight"] = random.normal(0, before**-0.5, (after, before)).astype(np.float32)
        tensors[f"{name}.bias"] = random.normal(0, 0.1, after).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path.with_suffix(".safetensors"))
    return str(path.with_suffix(".safetensors"))
