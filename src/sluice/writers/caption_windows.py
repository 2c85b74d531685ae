"""The caption windows of a clip, as training takes them: one text a window, and the clip's metadata beside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sluice.errors import ReadError
from sluice.sample import Item, Sample
from sluice.sample.fields import json_value
from sluice.writers.bodies import Body
from sluice.writers.media_files import json_bytes, text_of

Caption = Literal["enhanced", "plain"]
"""Which of a window's captions is meant: the one that a text model rewrote, where there is one, or the first."""

EMBEDDINGS = "t5_xxl"
"""Items called `t5_xxl.…` are embeddings of a clip's captions, as they were read from a sharded training set."""


def parts(found: Sequence[Body]) -> tuple[Body, list[Body], Body | None]:
    """A clip's video, its captions, its metadata. `ReadError` for what is no clip."""
    videos = [body for body in found if body.item.modality == "video"]
    if len(videos) != 1:
        raise ReadError("not one video", f"{len(videos)} of them")
    texts = [body for body in found if body.item.modality == "text"]
    metas = [body for body in found if body.item.modality == "metadata"]
    known = {id(body) for body in (*videos, *texts, *metas)}
    strange = [b for b in found if id(b) not in known and not b.name.startswith(f"{EMBEDDINGS}.")]
    if strange or len(metas) > 1:
        odd = (strange or metas)[-1]
        raise ReadError("an item that the format cannot hold", f"{odd.name!r} is {odd.item.modality}")
    return videos[0], texts, metas[0] if metas else None


def windows(texts: Sequence[Body], caption: Caption, model: str) -> list[str]:
    """One caption a window, in order: of `model`, if it is named, else of whichever comes first.

    Texts that no frames are told of are windows of their own.
    """
    found: dict[Any, list[Body]] = {}
    for number, body in enumerate(texts):
        found.setdefault(_frames(body.item) or number, []).append(body)
    return [
        text_of(min(of_window, key=lambda b: _rank(b.item, caption, model))) for of_window in found.values()
    ]


def metadata(
    sample: Sample, texts: Sequence[Body], given: Body | None, more: Mapping[str, Any] | None
) -> bytes:
    """The clip's metadata: as it is, if it is there and tells of these captions; else made, or mended.

    `more` is what stands in it under the key `sluice`, where that is asked for.
    """
    known = _object(given)
    if known is None:
        known = {"span_uuid": sample.key, **{n: json_value(v) for n, v in sample.fields.items()}}
    elif more is None and given is not None and _told(known) == [text_of(body) for body in texts]:
        return given.data
    if _told(known) != [text_of(body) for body in texts]:
        known["windows"] = _windows(texts)
    return json_bytes(known if more is None else known | {"sluice": dict(more)})


def _frames(item: Item) -> tuple[Any, Any] | None:
    if "start_frame" not in item.fields:
        return None
    return item.fields["start_frame"], item.fields.get("end_frame")


def _rank(item: Item, caption: Caption, model: str) -> tuple[bool, bool]:
    enhanced = item.fields.get("kind") == "enhanced_caption"
    return bool(model) and item.fields.get("model") != model, enhanced != (caption == "enhanced")


def _object(given: Body | None) -> dict[str, Any] | None:
    if given is None:
        return None
    try:
        found = json.loads(given.data)
    except (ValueError, RecursionError) as error:
        raise ReadError("malformed JSON", str(error)) from error
    if not isinstance(found, dict):
        raise ReadError("not a JSON object", f"a {type(found).__name__}")
    return found


def _told(known: Mapping[str, Any]) -> list[str]:
    """The captions that metadata tells of, in order."""
    listed = known.get("windows")
    found: Iterable[Any] = listed if isinstance(listed, list) else ()
    pairs = (pair for window in found if isinstance(window, dict) for pair in window.items())
    return [
        text for name, text in pairs if name.endswith("caption") and isinstance(text, str) and text.strip()
    ]


def _windows(texts: Sequence[Body]) -> list[dict[str, Any]]:
    """The captions in the names that peers have for them; null frames where none are told."""
    found: dict[Any, dict[str, Any]] = {}
    for number, body in enumerate(texts):
        item, frames = body.item, _frames(body.item)
        start, end = frames or (None, None)
        window = found.setdefault(frames or number, {"start_frame": start, "end_frame": end})
        model, kind = item.fields.get("model"), item.fields.get("kind", "caption")
        window[f"{model}_{kind}" if model else str(kind)] = text_of(body)
    return list(found.values())
