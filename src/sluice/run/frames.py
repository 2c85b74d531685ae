"""How many frames of videos a run decoded."""

from __future__ import annotations

from typing import Any

from sluice.store import Table


def frames(table: Table, measuring: int, writing: int) -> dict[str, Any]:
    """Frames that this run decoded to measure and to write, beside those in the sources; nothing where there are none.

    What earlier runs decoded, and workers that died, is not counted. The sources are those that have clips, kept or
    not, each once, and all their frames; None where that is not known, as of videos that were not split.
    """
    in_sources = None
    if {"source_frames", "source_hash"} <= table.passthrough.keys():
        of_each = "SELECT any_value(source_frames) AS frames FROM samples GROUP BY source_hash"
        ((in_sources,),) = (
            table.connect().sql(f"SELECT sum(frames)::BIGINT FROM ({of_each})").limit(1).fetchall()
        )
    if not in_sources and not measuring and not writing:
        return {}
    return {"frames": {"in_sources": in_sources, "decoded_measuring": measuring, "decoded_writing": writing}}
