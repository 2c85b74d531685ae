"""Tars made by hand and by the standard library, good and bad, for the reader's tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from sluice.readers import open_reader
from sluice.sample import Sample

Member = tuple[str, bytes]


def tar_bytes(members: Sequence[Member], style: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive with these members, as the standard library writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as tar:
        for name, data in members:
            add(tar, name, data)
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> None:
    """Append one member of any kind."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, "target" if kind != tarfile.REGTYPE else ""
    tar.addfile(info, io.BytesIO(data))


def read_all(path: Path | str, **settings: object) -> list[Sample]:
    """All samples of a source, in order, checked for what every reader promises."""
    reader = open_reader(path, **settings)  # type: ignore[arg-type]
    samples = []
    for part in reader.slices():
        found = list(reader.read(part))
        assert part.samples in (None, len(found))
        chosen = list(reader.read(part, rows={0, 2, len(found) - 1}))
        assert chosen == [s for k, s in enumerate(found) if k in {0, 2, len(found) - 1}]
        samples += found
    return samples


def contents(sample: Sample) -> dict[str, bytes]:
    """Item name → bytes."""
    return {i.name: i.media.read() if i.media else (i.text or "").encode() for i in sample.items}


def failures(samples: Sequence[Sample]) -> dict[str, str]:
    """Key → reason of the samples that failed; each once."""
    failed = [(s.key, s.notes[0].reason) for s in samples if s.notes]
    assert len(dict(failed)) == len(failed)
    return dict(failed)
