"""The tables over all clips: a row a clip, their vectors, and a summary by source video."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.errors import StorageError
from sluice.storage import Location
from sluice.writers.clip_metadata import document
from sluice.writers.files import hashed, parquet_file, put
from sluice.writers.protocol import ShardFile

_MODELS = b"sluice.models"  # what run/manifest.py tells of the models behind a column
_SUMMED = ("source_video", "duration_s", "size_bytes", "frame_count", "has_caption", "mode_used")


def rows_path(index: int) -> str:
    """Where the rows of a shard's clips lie, from which `clips.parquet` is put together."""
    return f"rows/{index:05d}.parquet"


def embedding_files(table: pa.Table) -> tuple[pa.Table, list[tuple[str, pa.Table]]]:
    """The table without its vectors, and for each column of vectors a name and a table of `id` and `embedding`.

    The name is the model's, where the column tells it and no other column has it, else the column's.
    """
    columns = [f for f in table.schema if pa.types.is_fixed_size_list(f.type)]
    models = [_model(field) for field in columns]
    found = []
    for field, model in zip(columns, models, strict=True):
        name = model if model and models.count(model) == 1 else field.name
        schema = pa.schema([table.schema.field("id"), field.with_name("embedding")])
        of_field = pa.Table.from_arrays([table.column("id"), table.column(field.name)], schema=schema)
        found.append((name.replace("/", "--"), of_field))
    return table.drop_columns([f.name for f in columns]), found


def _model(field: pa.Field) -> str:
    try:
        known = json.loads((field.metadata or {}).get(_MODELS, b"null"))
    except ValueError:
        return ""
    names = (
        [m.get("name") or m.get("id") for m in known if isinstance(m, dict)]
        if isinstance(known, list)
        else []
    )
    return str(names[0]) if len(names) == 1 and names[0] else ""


def finish_tables(
    output: Location,
    shards: Sequence[Mapping[str, Any]],
    dropped: Sequence[Mapping[str, Any]] | None = None,
) -> tuple[ShardFile, ...]:
    """Write `clips.parquet` and `summary.json` over the shards of the ledger. One shard's rows are in memory.

    It says how many frames of the sources were decoded to write them; of clips that were `dropped` and are written too,
    the same and how many there are.
    """
    parts = [f["path"] for shard in shards for f in shard["files"] if f["path"].startswith("rows/")]
    more = {"num_clips_failed": _failed(shards), "num_frames_decoded": _decoded(shards)}
    if dropped is not None:
        more["num_clips_filtered"] = sum(shard["samples"] for shard in dropped)
        more["num_clips_filtered_failed"] = _failed(dropped)
        more["num_frames_decoded_filtered"] = _decoded(dropped)
    videos: dict[str, dict[str, Any]] = {}
    if not parts:
        return (put(output, "summary.json", document(_summary(videos, more))),)
    schema = pa.unify_schemas([_schema(output / p) for p in parts], promote_options="permissive")
    with hashed(output / "clips.parquet") as file, parquet_file(file, schema) as parquet:
        for path in parts:
            table = _table(output / path)
            _count(videos, table)
            parquet.write_table(_as(table, schema))
    return file.done("clips.parquet"), put(output, "summary.json", document(_summary(videos, more)))


def _failed(shards: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(shard["failed"]) for shard in shards)


def _decoded(shards: Sequence[Mapping[str, Any]]) -> int:
    return sum(shard.get("frames_decoded", 0) for shard in shards)


def _schema(place: Location) -> pa.Schema:
    return pq.read_schema(place.path if place.is_local else pa.BufferReader(place.read()))


def _table(place: Location) -> pa.Table:
    try:
        return pq.read_table(place.path if place.is_local else pa.BufferReader(place.read()))
    except (pa.ArrowException, OSError) as error:
        raise StorageError(
            f"cannot be read: {error}", where=place.url, fix="run the same command again"
        ) from error


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table.column(f.name).cast(f.type)
        if f.name in table.column_names
        else pa.nulls(table.num_rows, f.type)
        for f in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    yield from table.select(list(_SUMMED)).to_pylist()


def _count(videos: dict[str, dict[str, Any]], table: pa.Table) -> None:
    for row in _rows(table):
        video = videos.setdefault(row["source_video"], {"source_video": row["source_video"], **_nothing()})
        video["num_clips"] += 1
        video["num_clips_transcoded"] += row["mode_used"] == "transcode"
        video["num_clips_with_caption"] += bool(row["has_caption"])
        video["num_frames"] += row["frame_count"]
        video["num_bytes"] += row["size_bytes"]
        video["total_clip_duration"] += row["duration_s"]
        video["max_clip_duration"] = max(video["max_clip_duration"], row["duration_s"])


def _nothing() -> dict[str, Any]:
    counts = dict.fromkeys(
        ("num_clips", "num_clips_transcoded", "num_clips_with_caption", "num_frames", "num_bytes"), 0
    )
    return {**counts, "total_clip_duration": 0.0, "max_clip_duration": 0.0}


def _summary(videos: Mapping[str, Mapping[str, Any]], more: Mapping[str, int]) -> dict[str, Any]:
    totals = {"num_videos": len(videos), **_nothing(), **more}
    for video in videos.values():
        for name in _nothing():
            joined = max if name.startswith("max_") else _sum
            totals[name] = joined(totals[name], video[name])
    return {"totals": totals, "videos": list(videos.values())}


def _sum(a: Any, b: Any) -> Any:
    return a + b
