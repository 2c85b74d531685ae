"""A folder of exported training data: what is in it, for the trainer that reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sluice.errors import StorageError
from sluice.storage import Location

NAME = "export.json"


@dataclass(frozen=True)
class Exported:
    """One arm's data in one format.

    `data` is the file or folder that a trainer is told (`{train_data}`), `media` the folder that paths inside it
    begin in; `samples` were written, `failed` could not be read any more, by reason; `shards` are the files that
    samples lie in (`00000.tar`, …). `pool` is the digest of the pool that was exported.
    """

    folder: Path
    format: str
    data: Path
    media: Path
    samples: int
    failed: dict[str, int]
    shards: int = 1
    pool: str = ""

    def write(self) -> None:
        """Note it in the folder, last of all: a folder with this note is whole."""
        note = {
            "format": self.format,
            "data": str(self.data.relative_to(self.folder)),
            "media": str(self.media.relative_to(self.folder)),
            "samples": self.samples,
            "failed": self.failed,
            "shards": self.shards,
            "pool": self.pool,
        }
        Location(self.folder / NAME).write(json.dumps(note, indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> Exported:
        """What was exported to the folder; `StorageError` where nothing was, or not to the end."""
        try:
            note = json.loads((folder / NAME).read_bytes())
        except FileNotFoundError:
            raise StorageError(
                "there is no whole export here", where=str(folder), fix="export it again"
            ) from None
        data, media = folder / note["data"], folder / note["media"]
        told = {name: note[name] for name in ("samples", "failed", "shards", "pool")}
        return cls(folder, note["format"], data, media, **told)
