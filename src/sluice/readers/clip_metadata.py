"""What the metadata of a clip says: its caption windows as texts, its plain values as fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sluice.errors import ReadError
from sluice.sample import Item
from sluice.sample.fields import is_number, is_span

MOST_WINDOWS = 10_000
"""Windows that one clip may have: 256 frames each, a day at 30 frames a second."""

_CAPTION = re.compile(r"(?:(?P<model>.+?)_)?(?P<kind>enhanced_caption|caption)")
_INT64 = 1 << 63
_RESERVED = ("id", "key", "parent", "items")
_SAID = ("prompt", "prompt_tokens", "completion_tokens")


def captions(metadata: Mapping[str, Any], version: str) -> Iterator[Item]:
    """The captions of all windows, in order, as texts called `caption_000.txt`, `caption_001.txt`, …

    A window is {start_frame, end_frame, {model}_caption, {model}_enhanced_caption}; its fields and those of the
    caption (`model`, `kind`, `annotation_version`, and where `captions` in the window tells, `prompt`, `prompt_tokens`,
    `completion_tokens`) are the item's. A caption that is null or blank is none. `ReadError` where they are malformed.
    """
    number = 0
    for window in _windows(metadata):
        frames = {name: _frame(window, name) for name in ("start_frame", "end_frame")}
        said = _said(window)
        for name, text in window.items():
            found = _CAPTION.fullmatch(name)
            if found is None or text is None:
                continue
            if not isinstance(text, str):
                raise ReadError("malformed windows", f"{name!r} is {type(text).__name__}, not text")
            if not text.strip():
                continue
            own = {"model": found["model"] or "", "kind": found["kind"]}
            more = dict.fromkeys(_SAID) | said.get((own["model"], own["kind"]), {})
            fields = {**frames, **own, **more, "annotation_version": version}
            yield Item("text", "text/plain", f"caption_{number:03d}.txt", text=text, fields=fields)
            number += 1


def fields(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of the metadata by name, and the span in the source as `clip_start_s` and `clip_end_s`.

    Lists and objects stay where they are; `valid` is true where nothing says otherwise.
    """
    found = {_free(name): value for name, value in metadata.items() if _is_plain(value)}
    found.setdefault("valid", True)
    span = metadata.get("duration_span")
    if is_span(span):
        found.setdefault("clip_start_s", float(span[0]))
        found.setdefault("clip_end_s", float(span[1]))
    return found


def _windows(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = metadata.get("windows")
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(window, dict) for window in found):
        raise ReadError("malformed windows", "`windows` is no list of objects")
    if len(found) > MOST_WINDOWS:
        raise ReadError("too many windows", f"{len(found):,}, more than {MOST_WINDOWS:,}")
    return found


def _frame(window: Mapping[str, Any], name: str) -> int:
    value = window.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _INT64:
        raise ReadError("malformed windows", f"{name!r} is {value!r}")
    return value


def _said(window: Mapping[str, Any]) -> dict[tuple[Any, Any], dict[str, Any]]:
    """What `captions` tells of each of the window's captions, by model and kind."""
    listed = window.get("captions")
    if not isinstance(listed, list):
        return {}
    told = [each for each in listed if isinstance(each, dict)]
    return {
        (str(each.get("model", "")), str(each.get("kind", "caption"))): {n: each.get(n) for n in _SAID}
        for each in told
    }


def _free(name: str) -> str:
    return f"source_{name}" if name in _RESERVED else name


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | bool) or is_number(value)
