"""Writes clips cut out of their sources, each as a video with its metadata beside it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from sluice.codec.video.clip import Audio, ClipFailure, ClipFile, ClipSettings, ClipSpan, CutWork, Mode
from sluice.codec.video.cut import cut_clips
from sluice.codec.video.encode import check_settings
from sluice.codec.video.preview import window_previews
from sluice.codec.video.whole import whole_clip
from sluice.codec.video.windows import frame_windows
from sluice.errors import ReadError, SampleError, StorageError, UsageError
from sluice.operator import alive
from sluice.sample import Media, Sample
from sluice.storage import Location
from sluice.storage.scratch import scratch
from sluice.writers.bodies import FIELDS_KEY, bodies
from sluice.writers.clip_metadata import document, metadata, windows
from sluice.writers.clip_tables import embedding_files, finish_tables, rows_path
from sluice.writers.columns import beside, check_embeddings, json_rows, measures
from sluice.writers.files import hashed, put, put_table
from sluice.writers.protocol import Dropped, ShardFile, ShardResult
from sluice.writers.wanted_clips import TOLD, WantedClip, WantedClips, video_suffix

WRITING = 1
"""The step of the beat that says that a clip is being written (0 are mappers)."""
_DAY_S = 86_400.0
CLIPS_A_SHARD = 8
"""Clips after which a shard ends with its source: some minutes of encoding, so that all workers are busy to the end."""


class ClipsWriter:
    """`clips/{id}.mp4`, `metas/v0/{id}.json`, and over all of them `clips.parquet` and `summary.json`.

    Clips are cut as `mode` says: `transcode` (default), `smart` or `copy` (see `codec/video/clip.py`, as for `codec`,
    `crf`, `preset`, `bitrate`, `audio`, `pixel_format` and `threads`). A sample that is a whole file and not a span of
    one keeps its bytes, unless a mode is named that changes them. The id is the sample's, or the field `span_uuid`
    where the sample came from such a tree. Captions of windows go into the metadata, other members beside it as
    `sidecars/{id}.{name}`, vectors (with `embeddings`) into `embeddings/{model}/`; with `previews` an animated WebP of
    each caption window (or where there would be one) into `previews/{id}/{start}_{end}.webp`, named by its frames.
    Clips of one source are cut in one passage over it. With `keep_dropped` clips that steps dropped lie in
    `filtered_clips/`, as Cosmos-Curate has them: their metadata says that they are not `valid`, and by which rule.
    """

    format: ClassVar[str] = "clips"
    version: ClassVar[int] = 1
    gathers: ClassVar[int] = CLIPS_A_SHARD
    names_by_id: ClassVar[bool] = True
    valid_only: ClassVar[bool] = True

    def __init__(
        self,
        output: Location,
        *,
        mode: Mode | None = None,
        codec: str = "libx264",
        crf: float = 20.0,
        preset: str | None = None,
        bitrate: int | str | None = None,
        audio: Audio = "copy",
        pixel_format: str = "yuv420p",
        threads: int = 1,
        annotation_version: str = "v0",
        previews: bool = False,
        embeddings: str = "none",
    ) -> None:
        self.output, self.annotation_version, self.previews = output, annotation_version, previews
        self.embeddings = check_embeddings(embeddings)
        self.whole_as_is = mode is None or mode != "transcode"
        self.settings = ClipSettings(
            mode or "transcode", codec, crf, preset, _bits(bitrate), audio, pixel_format, threads
        )
        check_settings(self.settings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write the clips of shard `index`, each whole with its metadata; the shard's table comes last."""
        intake = WantedClips()
        known = measures(fields, self.embeddings)
        files, places = self._write_clips(index, intake, samples, known)
        order = sorted(range(len(places)), key=lambda k: intake.kept[k])
        intake.sort(order)
        table = beside(intake, known, _columns([places[k] for k in order]))
        table, vectors = embedding_files(table)
        files += [put_table(self.output, f"embeddings/{n}/{index:05d}.parquet", t) for n, t in vectors]
        files.append(put_table(self.output, rows_path(index), table))
        return ShardResult(tuple(files), len(intake.kept), intake.failed, intake.work.frames_decoded)

    def write_dropped(
        self,
        index: int,
        samples: Iterable[Sample | None],
        fields: pa.Table | None,
        why: Sequence[Dropped],
    ) -> ShardResult:
        """Write clips that steps dropped, each whole with its metadata, which says `why`; they have no table."""
        intake = WantedClips()
        files, _ = self._write_clips(index, intake, samples, measures(fields, "none"), why)
        return ShardResult(tuple(files), len(intake.kept), intake.failed, intake.work.frames_decoded)

    def names_of(self, sample: Sample, dropped: bool) -> Iterator[str]:
        """Where a clip and its metadata may come to lie: by the sample's id, or its key where that is its name."""
        videos = [item for item in sample.items if item.modality == "video"]
        suffixes = {"mp4", *(video_suffix(video) for video in videos)}
        for name in {sample.id, sample.key}:
            yield f"metas/{self.annotation_version}/{name}.json"
            yield from (f"{_folder(dropped)}/{name}.{suffix}" for suffix in suffixes)

    def finish(
        self, shards: Sequence[Mapping[str, Any]], dropped: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[ShardFile, ...]:
        """`clips.parquet` of all shards' rows, and `summary.json`; what killed writers left is put away."""
        if self.output.is_local:
            for folder in self.output.path.glob(_ROOM.format("*")):
                shutil.rmtree(folder, ignore_errors=True)
        return finish_tables(self.output, shards, dropped)

    def _write_clips(
        self,
        index: int,
        intake: WantedClips,
        samples: Iterable[Sample | None],
        fields: pa.Table | None,
        why: Sequence[Dropped] = (),
    ) -> tuple[list[ShardFile], list[dict[str, Any]]]:
        """Write the clips of a shard: the files, and of each that is written what its row says."""
        rows = json_rows(_plain(fields))
        files: list[ShardFile] = []
        places: list[dict[str, Any]] = []
        with _room(self.output, index) as folder:
            for _, group in groupby(intake.wanted(samples), key=lambda w: _source_key(w.media)):
                for wanted, clip in self._cut(list(group), folder, intake.work):
                    at = wanted.position
                    if isinstance(clip, ClipFailure):
                        intake.failed[at] = clip.reason
                        continue
                    try:
                        written, told = self._write(
                            wanted, clip, rows[at] if rows else {}, why[at] if why else None
                        )
                    except SampleError as error:
                        intake.failed[at] = error.reason
                        continue
                    files += written
                    places.append(told)
                    intake.note(at, wanted.sample)
        return files, places

    def _cut(
        self, group: list[WantedClip], folder: Path, work: CutWork
    ) -> Iterator[tuple[WantedClip, ClipFile | ClipFailure]]:
        """The group's clips, of one source, as they come to be."""
        as_is = [w for w in group if w.is_whole and self.whole_as_is]
        for wanted in as_is:
            yield wanted, whole_clip(wanted.media)
        cut = [w for w in group if w not in as_is]
        if not cut:
            return
        spans = [ClipSpan(w.media.start_s, w.media.end_s, w.media.crop) for w in cut]
        results = cut_clips(cut[0].source, spans, self.settings, folder=folder, work=work)
        for wanted in cut:
            alive.at(wanted.position, WRITING, _more_s(wanted.media))
            yield wanted, next(results)

    def _write(
        self, wanted: WantedClip, clip: ClipFile, row: Mapping[str, Any], dropped: Dropped | None
    ) -> tuple[list[ShardFile], dict[str, Any]]:
        """Put a clip where it belongs, its metadata after it; the files, and what its row says of them."""
        sample, name = wanted.sample, wanted.name
        # Read first: a clip is written when all of it can be.
        others = bodies(replace(sample, items=wanted.others))
        looks = list(_previews(wanted, clip)) if self.previews else []
        suffix = f".{video_suffix(wanted.video)}" if clip.is_source else ".mp4"
        place = f"{_folder(dropped is not None)}/{name}{suffix}"
        with hashed(self.output / place) as file:
            for chunk in clip.chunks():
                file.write(chunk)
            if clip.is_source and wanted.video.hash not in (None, file.done(place).hash):
                raise ReadError("changed since it was measured", place)
        if clip.path is not None:
            clip.path.unlink()
        video = file.done(place)
        clip = replace(clip, size_bytes=video.size)
        told = metadata(sample, name, clip, place, video.hash, row, wanted.known, dropped)
        meta = put(self.output, f"metas/{self.annotation_version}/{name}.json", document(told))
        sides = [put(self.output, f"sidecars/{name}.{b.name}", b.data) for b in others]
        sides += [put(self.output, f"previews/{name}/{start}_{end}.webp", d) for (start, end), d in looks]
        row_told = {
            **{name: getattr(clip, name) for name in TOLD if hasattr(clip, name)},
            **{name: told[FIELDS_KEY][name] for name in ("first_pts", "last_pts", "fallback_reason")},
            "mode_used": told[FIELDS_KEY]["mode"],
            "start_s": told["duration_span"][0],
            "end_s": told["duration_span"][1],
            "clip": place,
            "meta": meta.path,
            "hash": video.hash,
            "source_video": told["source_video"],
            "has_caption": told["has_caption"],
        }
        return [video, *sides, meta], row_told


def _more_s(media: Media) -> float:
    """How much longer than another sample a clip may take: a minute for each of its seconds, a whole file a day."""
    return _DAY_S if media.end_s is None else 60 * (media.end_s - (media.start_s or 0.0))


def _previews(wanted: WantedClip, clip: ClipFile) -> Iterator[tuple[tuple[int, int], bytes]]:
    """The windows of a clip, by their frames, with what each looks like; none without a frame in it."""
    told = [(w["start_frame"], w["end_frame"]) for w in windows(wanted.sample.items)]
    found = [w for w in told if w[0] < min(w[1], clip.frame_count)] or frame_windows(clip.frame_count)
    yield from zip(found, window_previews(clip.media, found), strict=True)


def _source_key(media: Media) -> tuple[object, ...]:
    return media.uri, media.offset, media.size, None if media.data is None else id(media.data)


_ROOM = ".clips-{}.tmp"


@contextmanager
def _room(output: Location, index: int) -> Iterator[Path]:
    """A folder for unfinished clips: beside the output, where the room for them is, and emptied when begun anew."""
    if not output.is_local:
        with scratch("sluice-clips") as folder:
            yield folder
        return
    folder = output.path / _ROOM.format(f"{index:05d}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StorageError(str(error.strerror or error), where=str(folder)) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(dropped: bool) -> str:
    return "filtered_clips" if dropped else "clips"


def _plain(fields: pa.Table | None) -> pa.Table | None:
    if fields is None:
        return None
    return fields.drop_columns([f.name for f in fields.schema if pa.types.is_fixed_size_list(f.type)])


def _bits(bitrate: int | str | None) -> int | Literal["match"] | None:
    """A bitrate in bits per second: a number, one with `k` or `M`, or `match`."""
    if bitrate is None or isinstance(bitrate, int):
        return bitrate
    if bitrate == "match":
        return "match"
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kM]?)", bitrate)
    if found is None:
        raise UsageError(f"bitrate: {bitrate!r} is none", fix="write 4M, 800k, a number of bits, or match")
    return round(float(found[1]) * {"": 1, "k": 1000, "M": 1_000_000}[found[2]])


def _columns(told: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    return {name: pa.array([row[name] for row in told], kind) for name, kind in TOLD.items()}
