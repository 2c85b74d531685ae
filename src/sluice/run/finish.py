"""The end of writing: what the format says of all shards together, and the files that it keeps up to date."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sluice.errors import NotFoundError
from sluice.run.export import ledger_bytes
from sluice.store import RunDir
from sluice.writers import ShardFile, Writer


def finish(
    place: RunDir,
    writer: Writer | None,
    entries: Sequence[Mapping[str, Any]],
    dropped: Sequence[Mapping[str, Any]] | None = None,
) -> int:
    """Let the format write what tells of all its shards, and note those files; returns their bytes.

    `entries` are the ledger's, in order; `dropped` those of dropped samples, where they are written too. Files of an
    earlier state that are not written any more are deleted.
    """
    last = getattr(writer, "finish", None)
    given = (entries,) if dropped is None else (entries, dropped)
    files: tuple[ShardFile, ...] = last(*given) if last is not None else ()
    current = {file.path for file in files} | {f["path"] for entry in entries for f in entry["files"]}
    for stale in sorted({file["path"] for file in finished(place)} - current):
        (place.output / stale).delete()
    if last is not None:
        place.finished.write(ledger_bytes({"files": [asdict(file) for file in files]}))
    elif place.finished.exists():
        place.finished.delete()
    return sum(file.size for file in files)


def finished(place: RunDir) -> list[dict[str, Any]]:
    """The files noted at the end of writing: path, size and hash each; none where the format has no such."""
    try:
        found: list[dict[str, Any]] = json.loads(place.finished.read())["files"]
    except NotFoundError:
        return []
    return found
