"""What are a text's lines like: sentences, list entries, headlines, repetitions?"""

from typing import Annotated, NamedTuple

from sluice.operator import Field, measure
from sluice.ops.text.lines import Lines, duplicate_shares

_BULLETS = tuple("-*•‣●◦▪■–—▶►·○□➢✓")
_ELLIPSES = ("...", "…")
_ENDS = (".", "!", "?", '"', "'", "”", "’", "»", "。", "！", "？", "؟", "।")
_SHORT = 30  # characters (FineWeb)


class LineStatistics(NamedTuple):
    """How many lines there are, and shares of them."""

    count: Annotated[int, Field(unit="lines", ge=0, higher_is="more lines")]  # type: ignore[assignment]
    bullet_ratio: Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="more lists", bound="<= 0.9")]
    ellipsis_ratio: Annotated[
        float, Field(unit="ratio", ge=0, le=1, higher_is="more cut off", bound="<= 0.3")
    ]
    punctuated_ratio: Annotated[
        float, Field(unit="ratio", ge=0, le=1, higher_is="more whole sentences", bound=">= 0.12")
    ]
    short_ratio: Annotated[float, Field(unit="ratio", ge=0, le=1, higher_is="shorter lines", bound="<= 0.67")]
    duplicate_ratio: Annotated[
        float, Field(unit="ratio", ge=0, le=1, higher_is="more repeated", bound="<= 0.3")
    ]
    duplicate_character_ratio: Annotated[
        float, Field(unit="ratio", ge=0, le=1, higher_is="more repeated", bound="<= 0.2")
    ]


@measure(version=1, cost="header", example="First line.\n- a point\nand so on...\nFirst line.")
def text_line(lines: Lines) -> LineStatistics:
    """Number of lines that are not blank, and shares of them (0 where there are none).

    `bullet`: begin with a hyphen, star, dash or bullet; `ellipsis`: end with `...` or `…` (Rae et al., Gopher,
    2021: at most 90 % and 30 %). `punctuated`: end with a full stop, exclamation or question mark or quotation
    mark and not with an ellipsis (Raffel et al., C4, 2020, keep only such lines; at least 12 % in Penedo et
    al., FineWeb, 2024). `short`: at most 30 characters (FineWeb: at most 67 %). `duplicate`: came before in
    the text (Gopher: at most 30 %), and `duplicate_character`, the share of the characters in them (Gopher: at
    most 20 %; FineWeb 1 %).
    """
    total = max(len(lines), 1)
    again, again_characters = duplicate_shares(lines)
    cut = sum(line.endswith(_ELLIPSES) for line in lines)
    ended = sum(line.endswith(_ENDS) and not line.endswith(_ELLIPSES) for line in lines)
    return LineStatistics(
        count=len(lines),
        bullet_ratio=sum(line.startswith(_BULLETS) for line in lines) / total,
        ellipsis_ratio=cut / total,
        punctuated_ratio=ended / total,
        short_ratio=sum(len(line) <= _SHORT for line in lines) / total,
        duplicate_ratio=again,
        duplicate_character_ratio=again_characters,
    )
