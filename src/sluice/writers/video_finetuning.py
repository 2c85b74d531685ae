"""Writes clips as fine-tuning of Cosmos's generators takes them: files by name, one caption a clip."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from sluice.codec.array_lists import encoded
from sluice.errors import ReadError, UnreadableError, UsageError
from sluice.model.device import DeviceName, DtypeName
from sluice.model.prompts import prompt_hash, prompt_text
from sluice.model.runner import BatchSize
from sluice.model.text_encoder import T5States
from sluice.sample import Item, Media, Sample
from sluice.storage import Location
from sluice.writers.bodies import Body, Intake
from sluice.writers.caption_windows import Caption, parts, windows
from sluice.writers.files import put
from sluice.writers.folder import file_path
from sluice.writers.media_files import json_bytes, text_of
from sluice.writers.protocol import ShardFile, ShardResult

LENGTHS = ("long", "short", "medium")
CLIPS_AT_ONCE = 64
"""Captions that go through the encoder together."""

Texts = Literal["metas", "captions"]


class VideoFinetuningWriter:
    """`videos/{key}.mp4`, and beside them what says what they show, in one of two layouts.

    `texts: metas` writes `metas/{key}.txt`, the caption, and `t5_xxl/{key}.pickle`, a list of exactly one
    half-precision array [tokens, size]: T5's states of it (`text_encoder` and its settings are as of `video-shards`;
    `none` leaves them out). `texts: captions` writes `captions/{key}.json`: {model: {long, short, medium}}, those there
    are. Which a caption is, its prompt tells where it is one of ours of that name, else an ending of its model's name
    (`qwen_short`), else it is long; `lengths` says it otherwise, by prompt or model.

    A clip needs `min_frames` frames (Cosmos reads 93 and one more) and a caption; of one with several caption windows
    no caption tells the whole: it fails, or with `window: first` has the first. All these are failures with a reason.
    """

    format: ClassVar[str] = "video-finetuning"
    version: ClassVar[int] = 1
    packs: ClassVar[str] = "video"
    valid_only: ClassVar[bool] = True

    def __init__(
        self,
        output: Location,
        *,
        texts: Texts = "metas",
        min_frames: Annotated[int, Field(ge=0)] = 94,
        window: Literal["only", "first"] = "only",
        caption: Caption = "enhanced",
        caption_model: str = "",
        lengths: dict[str, Literal["long", "short", "medium"]] | None = None,
        text_encoder: str = "google-t5/t5-11b",
        max_tokens: Annotated[int, Field(ge=1)] = 512,
        device: DeviceName = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self.output, self.texts, self.min_frames, self.window = output, texts, min_frames, window
        self.caption, self.caption_model, self.lengths = caption, caption_model, dict(lengths or {})
        self.encoder: T5States | None = None
        if texts == "metas" and text_encoder != "none":
            self.encoder = T5States(
                text_encoder, max_tokens=max_tokens, device=device, dtype=dtype, batch_size=batch_size
            )
        if texts == "captions" and text_encoder not in ("none", "google-t5/t5-11b"):
            raise UsageError(
                "captions in JSON have no embeddings", fix="remove `text_encoder`, or `texts: metas`"
            )

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """What the bytes depend on beside the settings: the encoder."""
        return self.encoder.marks if self.encoder is not None else ()

    @property
    def devices(self) -> tuple[str, ...]:
        """The classes of the devices that models run on."""
        return (self.encoder.device,) if self.encoder is not None else ()

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write the files of these clips; each file appears whole or not at all."""
        intake, refused, written = Intake(), {}, 0
        files: list[ShardFile] = []
        waiting: list[tuple[str, str]] = []
        for position, sample, found in intake(samples):
            try:
                video, texts, _ = parts(found)
                self._check(video)
                told = self._told(texts)
            except ReadError as error:
                refused[position] = error.reason
                continue
            written += 1
            if isinstance(told, str):
                waiting.append((sample.key, told))
            else:
                files.append(put(self.output, f"captions/{file_path(sample.key, 'json')}", json_bytes(told)))
            files.append(put(self.output, f"videos/{file_path(sample.key, 'mp4')}", video.data))
            if len(waiting) >= CLIPS_AT_ONCE:
                files += self._put_texts(waiting)
                waiting = []
        files += self._put_texts(waiting)
        return ShardResult(tuple(files), written, intake.failed | refused)

    def names_of(self, sample: Sample, dropped: bool) -> Iterator[str]:
        """The files that a clip may have."""
        for folder, suffix in (
            ("videos", "mp4"),
            ("captions", "json"),
            ("metas", "txt"),
            ("t5_xxl", "pickle"),
        ):
            yield f"{folder}/{file_path(sample.key, suffix)}"

    def _put_texts(self, waiting: Sequence[tuple[str, str]]) -> list[ShardFile]:
        """Write captions, and T5's states of them."""
        files = [put(self.output, f"metas/{file_path(key, 'txt')}", text.encode()) for key, text in waiting]
        if self.encoder is not None:
            states = self.encoder([text for _, text in waiting])
            for (key, _), array in zip(waiting, states, strict=True):
                data = encoded([array], "pickle")
                files.append(put(self.output, f"t5_xxl/{file_path(key, 'pickle')}", data))
        return files

    def _check(self, video: Body) -> None:
        """Refuse a clip that is no MP4, or has too few frames."""
        from sluice.codec.video import probe
        from sluice.codec.video.index import glance

        if video.item.content_type != "video/mp4":
            raise ReadError("not MP4", video.item.content_type)
        if not self.min_frames:
            return
        try:
            media = Media(size=len(video.data), data=video.data)
            count = (glance(media) or probe(media)).frame_count
        except UnreadableError as error:
            raise ReadError(error.reason, error.what) from error
        if count is None:
            raise ReadError("frame count unknown", "its container does not tell")
        if count < self.min_frames:
            raise ReadError(f"fewer than {self.min_frames} frames", f"it has {count}")

    def _told(self, texts: Sequence[Body]) -> str | dict[str, dict[str, str]]:
        """The clip's one caption, or all that there are of it by model and length."""
        found = windows(texts, self.caption, self.caption_model)
        if not found:
            raise ReadError("no caption", "the clip has none")
        if len(found) > 1 and self.window == "only":
            raise ReadError("several caption windows", f"{len(found)}; `window: first` takes the first")
        if self.texts == "metas":
            return found[0]
        first = texts[0].item.fields
        here = [b for b in texts if _window(b.item.fields) == _window(first)]
        by_model: dict[str, dict[str, str]] = {}
        for body in here:
            model, length = self._length(body.item)
            by_model.setdefault(model, {}).setdefault(length, text_of(body))
        return by_model

    def _length(self, item: Item) -> tuple[str, str]:
        """The model of a caption, and which of the three it is."""
        model, prompt = str(item.fields.get("model") or "caption"), str(item.fields.get("prompt") or "")
        said = self.lengths.get(prompt) or self.lengths.get(model) or _of_prompt().get(prompt)
        ending = next((length for length in LENGTHS if model.endswith(f"_{length}")), "")
        return (model.removesuffix(f"_{ending}") if ending and not said else model), said or ending or "long"


def _window(fields: Mapping[str, Any]) -> tuple[Any, Any]:
    return fields.get("start_frame"), fields.get("end_frame")


@cache
def _of_prompt() -> dict[str, str]:
    """The length of the captions that our prompts ask for, by the hashes that captions are told with."""
    found = {}
    for length in LENGTHS:
        found[prompt_hash(length)] = length
        found[hashlib.sha256(prompt_text(length).encode()).hexdigest()[:16]] = length
    return found
