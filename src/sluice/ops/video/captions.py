"""What captions of windows come to: one text of a clip for rules, and what is known of each window, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sluice.errors import Declined
from sluice.ops.video.windows import Window

BETWEEN = "\n\n"
"""What stands between the captions of windows in the text of a clip."""


@dataclass(frozen=True, slots=True)
class WindowCaption:
    """A window of a clip and its caption: null, with the reason, where it has none. Tokens as far as they are known."""

    start_frame: int
    end_frame: int
    text: str | None
    reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def window(self) -> Window:
        """Which frames it speaks of."""
        return Window(self.start_frame, self.end_frame)

    @classmethod
    def of(cls, window: Window, text: str | Declined, tokens: tuple[int | None, int | None]) -> WindowCaption:
        """What was said of a window."""
        said, reason = (None, text.reason) if isinstance(text, Declined) else (text, None)
        return cls(window.start, window.end, said, reason, *tokens)


def clip_text(captions: Sequence[WindowCaption]) -> str | Declined:
    """The captions of all windows that have one, in order, blank lines between; or why none has."""
    said = [each.text for each in captions if each.text is not None]
    if said:
        return BETWEEN.join(said)
    reason = next((each.reason for each in captions if each.reason is not None), None)
    return Declined(reason or "no windows", f"none of {len(captions)} windows has a caption")


def uncaptioned(captions: Sequence[WindowCaption]) -> int:
    """How many windows have no caption."""
    return sum(each.text is None for each in captions)


def to_json(captions: Sequence[WindowCaption]) -> str:
    """The windows as they are stored; what is not known is left out, but for a text that is null."""
    rows = [{n: v for n, v in asdict(each).items() if v is not None or n == "text"} for each in captions]
    return json.dumps(rows, ensure_ascii=False)


def from_json(stored: str | None) -> list[WindowCaption]:
    """The windows that `to_json` wrote; none of null."""
    rows: list[dict[str, Any]] = json.loads(stored) if stored is not None else []
    return [WindowCaption(**row) for row in rows]
