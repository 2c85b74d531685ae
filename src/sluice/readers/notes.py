"""Samples that could not be read: they are counted like any other, with the reason why."""

from __future__ import annotations

from sluice.sample import Note, Sample, sample_id


def failed_sample(path: str, key: str, row: int, reason: str, detail: str = "") -> Sample:
    """A sample without items whose `read` note says why; `path` is its file relative to the source root."""
    return Sample(sample_id(path, key, row), key, notes=(Note("read", reason, detail, "read"),))
