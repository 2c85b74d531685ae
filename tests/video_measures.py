"""Measures videos with the operators of a recipe, for the tests of those operators."""

from __future__ import annotations

from typing import Any

from sluice.operator import Program, registry
from sluice.operator.tracks import all_tracks, use
from sluice.sample import Item, Media, Note, Sample

ALONG = (
    "video_exposure",
    "video_black_ratio",
    "video_freeze_ratio",
    "video_duplicate_frame_ratio",
    "video_flicker",
    "video_sharpness",
    "video_blockiness",
)
"""Measures of how a video looks along its length, none of which needs a model."""


def measured(media: Media | bytes, *names: str, **asked: dict[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """Values by column and what was noted; `asked` are operators with settings. All tracks come of one decode."""
    media = Media(data=media, size=len(media)) if isinstance(media, bytes) else media
    instances = [registry().bind(n, s) for n, s in [*((n, {}) for n in names), *asked.items()]]
    use(None, all_tracks(instances))
    try:
        found = Program(instances)([Sample("v", "v", (Item("video", media=media),))])
    finally:
        use(None)
    return {name: column[0][0] for name, column in found.columns.items()}, list(found.notes[0])


def value(media: Media | bytes, name: str, **settings: Any) -> Any:
    """The value of the only column of a measure."""
    found, notes = measured(media, **{name: settings})
    assert notes == []
    return next(iter(found.values()))
