"""What is told of a clip beside it: the metadata that tools for clips read, by the names that they know."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sluice.codec.video.clip import ClipFile
from sluice.sample import Item, Sample
from sluice.sample.fields import is_number, is_span, json_value
from sluice.writers.bodies import FIELDS_KEY
from sluice.writers.protocol import Dropped

CAPTIONS = ("caption", "enhanced_caption")
"""Kinds of a caption window's texts."""

_MOTION = {
    "global_mean": "video_motion_vector_mean",
    "per_patch_min_256": "video_motion_vector_patch_min",
}
_KEEPS = ("prompt", "prompt_tokens", "completion_tokens", "annotation_version")
_AESTHETICS = ("video_aesthetics_min", "video_aesthetics_mean", "video_aesthetics")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_whole_or_null(value: Any) -> bool:
    return value is None or (isinstance(value, int) and is_number(value))


def _is_number_or_null(value: Any) -> bool:
    return value is None or is_number(value)


_OF_THE_SOURCE: Mapping[str, Callable[[Any], bool]] = {
    "source_video": _is_text,
    "duration_span": is_span,
    "width_source": _is_whole_or_null,
    "height_source": _is_whole_or_null,
    "framerate_source": _is_number_or_null,
}
_OF_THE_CUT: Mapping[str, Callable[[Any], bool]] = {
    "id": _is_text,
    "key": _is_text,
    "parent": _is_text_or_null,
    "mode": _is_text,
    "fallback_reason": _is_text_or_null,
    "first_pts": _is_whole_or_null,
    "last_pts": _is_whole_or_null,
    "copied_frames": _is_whole_or_null,
}
"""What is believed of earlier metadata, by the kind that its value must have: others may have written it."""


def is_window(item: Item) -> bool:
    """Whether an item is a text of a caption window."""
    return item.modality == "text" and item.fields.get("kind") in CAPTIONS and "start_frame" in item.fields


def windows(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The caption windows, by their first frame: `start_frame`, `end_frame` (exclusive), `{model}_caption`.

    What the peers' names have no place for is under `captions`: a list of model, kind, prompt (its digest) and tokens.
    """
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for item in items:
        if not is_window(item):
            continue
        bounds = (int(item.fields["start_frame"]), int(item.fields["end_frame"]))
        window = found.setdefault(bounds, {"start_frame": bounds[0], "end_frame": bounds[1]})
        model, kind = str(item.fields.get("model", "")), str(item.fields["kind"])
        window[f"{model}_{kind}" if model else kind] = item.text if item.text is not None else _text(item)
        told = {name: item.fields[name] for name in _KEEPS if item.fields.get(name) is not None}
        window.setdefault("captions", []).append({"model": model, "kind": kind, **told})
    return [found[bounds] for bounds in sorted(found)]


def _text(item: Item) -> str:
    return item.media.read().decode("utf-8", "replace") if item.media is not None else ""


def metadata(
    sample: Sample,
    name: str,
    clip: ClipFile,
    place: str,
    digest: str,
    measures: Mapping[str, Any],
    known: Mapping[str, Any],
    dropped: Dropped | None = None,
) -> dict[str, Any]:
    """The metadata of a clip called `name` at `place` of the output, whose bytes have the xxh3-128 `digest`.

    `known` is metadata that came with the sample: what we do not tell ourselves stays. Frames per second are frames
    divided by seconds; `duration_span` is the true span in the source, in seconds; null stands for what is not known.
    A clip that was `dropped` is not `valid`.
    """
    captions = windows(sample.items)
    motion = {ours: measures[field] for ours, field in _MOTION.items() if measures.get(field) is not None}
    aesthetics = next((measures[n] for n in _AESTHETICS if measures.get(n) is not None), None)
    before = _before(name, clip, known)
    found = {
        "span_uuid": name,
        "source_video": source_video(sample),
        "duration_span": [clip.start_s, clip.end_s],
        "width_source": clip.source.width_px,
        "height_source": clip.source.height_px,
        "framerate_source": clip.source.fps,
        **_believed(before, _OF_THE_SOURCE),
        "clip_location": place,
        "width": clip.width_px,
        "height": clip.height_px,
        "framerate": clip.fps,
        "num_frames": clip.frame_count,
        "video_codec": clip.video_codec,
        "num_bytes": clip.size_bytes,
        "motion_score": motion or known.get("motion_score"),
        "aesthetic_score": aesthetics if aesthetics is not None else known.get("aesthetic_score"),
        "windows": captions,
        "valid": dropped is None,
        "has_caption": bool(captions),
        FIELDS_KEY: _ours(sample, clip, digest, measures, before, dropped),
    }
    merged: dict[str, Any] = json_value({**known, **found})
    return merged


def _before(name: str, clip: ClipFile, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was told of the clip where it comes from a tree of clips and keeps its bytes: how it was cut stays true."""
    return known if clip.path is None and known.get("span_uuid") == name else {}


def _ours(
    sample: Sample,
    clip: ClipFile,
    digest: str,
    measures: Mapping[str, Any],
    before: Mapping[str, Any],
    dropped: Dropped | None,
) -> dict[str, Any]:
    """What the peers' names have no place for."""
    told = before.get(FIELDS_KEY)
    earlier: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    fields = earlier.get("fields")
    own = {n: v for n, v in sample.fields.items() if n not in before}
    found = {
        "id": sample.id,
        "key": sample.key,
        "parent": sample.parent,
        **({"fate": "kept"} if dropped is None else {"fate": dropped.fate, "rule": dropped.rule}),
        "content_hash": digest,
        "mode": clip.mode_used,
        "fallback_reason": clip.fallback_reason,
        "first_pts": clip.first_pts,
        "last_pts": clip.last_pts,
        "duration_s": clip.duration_s,
        "copied_frames": clip.copied_frame_count,
        "pixel_format": clip.pixel_format,
        "audio_codec": clip.audio_codec,
        "fields": {
            **(fields if isinstance(fields, Mapping) else {}),
            **{n: json_value(v) for n, v in {**own, **measures}.items()},
        },
    }
    return {**found, **_believed(earlier, _OF_THE_CUT)}


def _believed(told: Mapping[str, Any], kinds: Mapping[str, Callable[[Any], bool]]) -> dict[str, Any]:
    return {name: told[name] for name, is_kind in kinds.items() if name in told and is_kind(told[name])}


def source_video(sample: Sample) -> str:
    """Which video a sample was cut out of: what the splitter or the source says, else the sample's own file."""
    told = sample.fields.get("source_video")
    if isinstance(told, str) and told:
        return told
    name = next((item.name for item in sample.items if item.modality == "video"), "")
    return f"{sample.key}.{name}" if name else sample.key


def document(value: Any) -> bytes:
    """JSON as it is written: readable, in the order given."""
    try:
        return json.dumps(value, indent=1, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which a source had as an escape
        return json.dumps(value, indent=1).encode()
