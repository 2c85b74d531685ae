"""Writes clips as a training set: tars by resolution, aspect ratio and length, with T5's states of each caption."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import Field

from sluice.codec.array_lists import Form, encoded
from sluice.errors import ReadError, UsageError
from sluice.model.device import DeviceName, DtypeName
from sluice.model.runner import BatchSize
from sluice.model.text_encoder import T5States
from sluice.sample import Sample
from sluice.sample.fields import json_value
from sluice.sample.members import join_member, safe_member
from sluice.storage import Location
from sluice.writers.bodies import Body, Intake, typed_name
from sluice.writers.caption_windows import EMBEDDINGS, Caption, metadata, parts, windows
from sluice.writers.columns import json_rows, measures
from sluice.writers.files import hashed, put
from sluice.writers.protocol import Partition, ShardFile, ShardResult
from sluice.writers.tar import TarStream

VIDEO, METAS = "video", "metas"
WINDOWS_AT_ONCE = 64
"""Captions that go through the encoder together: at 512 tokens of T5-11B 64 MB of states."""


class VideoShardsWriter:
    """`v0/{bin}/{video,metas,t5_xxl}/part_000000/000000.tar`: three trees with the same tars, numbers and order.

    A clip, under its key, is `.mp4` in the first, `.json` in the second, and `.pickle` in the third: a list with one
    half-precision array [tokens, size] for each caption window. Bins are the values of `partition_by`, the folder
    `v0` is `annotation_version`; there are at most `part_tars` tars in a part. Beside the trees of each bin lies
    `wdinfo.json`, over all bins `wdinfo_list.csv`. Clips and metadata are the bytes that were read; with
    `fields_in_json` measures stand in the metadata under `sluice`.

    `text_encoder` is a T5 (its encoder; a path or name), `none` leaves the third tree out; `max_tokens`, `device`,
    `dtype` and `batch_size` are as of `text_t5_embedding`. `text_embeddings` says in which form they are stored, or in
    which several. Where a window has several captions, `caption_model` and `caption` choose.
    """

    format: ClassVar[str] = "video-shards"
    version: ClassVar[int] = 1
    packs: ClassVar[str] = "video"
    valid_only: ClassVar[bool] = True

    def __init__(
        self,
        output: Location,
        *,
        annotation_version: Annotated[str, Field(pattern=r"^[\w.-]*\w$")] = "v0",
        part_tars: Annotated[int, Field(ge=1)] = 100,
        text_encoder: str = "google-t5/t5-11b",
        text_embeddings: Form | tuple[Form, ...] = "pickle",
        max_tokens: Annotated[int, Field(ge=1)] = 512,
        caption: Caption = "enhanced",
        caption_model: str = "",
        fields_in_json: bool = False,
        device: DeviceName = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self.output, self.annotation_version, self.part_tars = output, annotation_version, part_tars
        self.forms: tuple[Form, ...] = (
            (text_embeddings,) if isinstance(text_embeddings, str) else text_embeddings
        )
        self.caption, self.caption_model, self.fields_in_json = caption, caption_model, fields_in_json
        self.encoder: T5States | None = None
        if text_encoder != "none":
            self.encoder = T5States(
                text_encoder, max_tokens=max_tokens, device=device, dtype=dtype, batch_size=batch_size
            )

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """What the bytes depend on beside the settings: the encoder."""
        return self.encoder.marks if self.encoder is not None else ()

    @property
    def devices(self) -> tuple[str, ...]:
        """The classes of the devices that models run on."""
        return (self.encoder.device,) if self.encoder is not None else ()

    @property
    def trees(self) -> tuple[str, ...]:
        """The trees of each bin."""
        return (VIDEO, METAS, EMBEDDINGS) if self.encoder is not None else (VIDEO, METAS)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Refused: without a bin there is no place for a shard."""
        raise UsageError(f"the format {self.format!r} is laid out by bins", fix="`sluice shard` writes it")

    def write_partitioned(
        self, partition: Partition, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write one tar of each tree; each appears whole or not at all, the clips last."""
        intake, refused, written = Intake(), {}, 0
        rows = json_rows(measures(fields, "none")) if self.fields_in_json else None
        part, number = divmod(partition.number, self.part_tars)
        names = {t: f"{self._bin(partition.value)}/{t}/part_{part:06d}/{number:06d}.tar" for t in self.trees}
        with ExitStack() as stack:
            files = {tree: stack.enter_context(hashed(self.output / name)) for tree, name in names.items()}
            tars = {tree: stack.enter_context(TarStream(file)) for tree, file in files.items()}
            states = _States(self.encoder, self.forms, tars.get(EMBEDDINGS))
            for position, sample, found in intake(samples):
                try:
                    texts = self._add(tars, sample, found, rows[position] if rows is not None else None)
                except ReadError as error:
                    refused[position] = error.reason
                    continue
                states.add(sample.key, texts)
                written += 1
            states.flush()
            for tar in tars.values():
                tar.end()
        done = tuple(files[tree].done(name) for tree, name in names.items())
        return ShardResult(done, written, intake.failed | refused)

    def _add(
        self, tars: Mapping[str, TarStream], sample: Sample, found: Sequence[Body], row: dict[str, Any] | None
    ) -> list[str]:
        """Write a clip and its metadata; the captions of its windows."""
        video, captions, given = parts(found)
        more = None if row is None else {**{n: json_value(v) for n, v in sample.fields.items()}, **row}
        told = metadata(sample, captions, given, more)
        texts = windows(captions, self.caption, self.caption_model)
        extension = typed_name(video).rpartition(".")[2]
        tars[VIDEO].add(_member(sample.key, extension), video.data)
        tars[METAS].add(_member(sample.key, "json"), told)
        return texts

    def finish(self, shards: Sequence[Mapping[str, Any]]) -> tuple[ShardFile, ...]:
        """Write `wdinfo.json` of each bin and `wdinfo_list.csv`, in the names that cosmos-curate gives them."""
        bins: dict[str, list[Mapping[str, Any]]] = {}
        for shard in shards:
            bins.setdefault(shard["partition"]["value"], []).append(shard)
        files, listed = [], []
        for value, found in bins.items():
            folder = self._bin(value)
            start = f"{folder}/{VIDEO}/"
            paths = [file["path"] for shard in found for file in shard["files"]]
            place = self.output / folder
            info = {
                "data_keys": [VIDEO, EMBEDDINGS, METAS] if EMBEDDINGS in self.trees else [VIDEO, METAS],
                "chunk_size": self.part_tars,
                "data_list": [path.removeprefix(start) for path in paths if path.startswith(start)],
                "root": _root(place),
                "total_key_count": sum(shard["samples"] for shard in found),
            }
            files.append(put(self.output, f"{folder}/wdinfo.json", json.dumps(info, indent=4).encode()))
            listed.append([(place / "wdinfo.json").url])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(listed)
        files.append(put(self.output, f"{self.annotation_version}/wdinfo_list.csv", text.getvalue().encode()))
        return tuple(files)

    def _bin(self, value: str) -> str:
        return f"{self.annotation_version}/{value}"


class _States:
    """Gathers the captions of clips, and writes T5's states of them some clips at a time, in order."""

    def __init__(self, encoder: T5States | None, forms: Sequence[Form], tar: TarStream | None) -> None:
        self._encoder, self._forms, self._tar = encoder, forms, tar
        self._waiting: list[tuple[str, list[str]]] = []

    def add(self, key: str, texts: list[str]) -> None:
        """The next clip."""
        if self._tar is None:
            return
        self._waiting.append((key, texts))
        if sum(len(each) for _, each in self._waiting) >= WINDOWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        if self._tar is None or self._encoder is None:
            return
        states = iter(self._encoder([text for _, texts in self._waiting for text in texts]))
        for key, texts in self._waiting:
            arrays = [next(states) for _ in texts]
            for form in self._forms:
                self._tar.add(_member(key, form), encoded(arrays, form))
        self._waiting = []


def _member(key: str, extension: str) -> str:
    return safe_member(join_member(key, extension))


def _root(place: Location) -> str:
    """The folder as cosmos-curate names it: a path here, a key without its bucket in an object store."""
    if place.is_local:
        return str(place.path)
    return place.url.partition("://")[2].partition("/")[2]
