"""Numbers as people read them: short, with their units, and never more digits than they deserve."""

from __future__ import annotations

import math

_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_UNITLESS = frozenset({"", "ratio", "share", "variance", "count", "hash", "hex", "number", "width/height"})


def count(value: float) -> str:
    """A whole number with thousands separated: 1,234,567."""
    return f"{round(value):,}"


def share(part: float, whole: float) -> str:
    """A part as a percentage of the whole; never 0 % or 100 % where that is not exact."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def short(value: float) -> str:
    """A number in at most about six characters, for axes: 0.05, 12.5, 1,200, 35k, 1.2M."""
    size = abs(value)
    if not math.isfinite(value):
        return "–"
    for unit, letter in _SI:
        if size >= unit and (unit > 1e3 or size >= 1e4):
            return f"{_trimmed(value / unit, 3)}{letter}"
    if size >= 1000:
        return f"{value:,.0f}"
    if 0 < size < 1e-4:
        return f"{value:.0e}"
    return _trimmed(value, 3)


def exact(value: float) -> str:
    """A number to four significant digits with thousands separated, for captions and tables."""
    if not math.isfinite(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2e}" if abs(value) < 1e-4 else _trimmed(value, 4)


def with_unit(value: float, unit: str) -> str:
    """A measured value with its unit; words that say only what kind of number it is are left out."""
    return exact(value) if unit in _UNITLESS else f"{exact(value)} {unit}"


def duration(seconds: float) -> str:
    """A time: 0.45 s, 12.3 s, 4 min 05 s, 3 h 12 min."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def clock(seconds: float, digits: int = 1) -> str:
    """A moment of a recording: 0:07.5, 12:04.0, 1:02:03.4; `digits` after the point."""
    ticks = round(seconds * 10**digits)
    whole, part = divmod(ticks, 10**digits)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours:,}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
    return f"{shown}.{part:0{digits}d}" if digits else shown


def span(start_s: float, end_s: float) -> str:
    """From when to when: 0:07.5–0:12.0; of what is shorter than a second to hundredths."""
    digits = 1 if end_s - start_s >= 1 else 2
    return f"{clock(start_s, digits)}–{clock(end_s, digits)}"


def size(size_bytes: float) -> str:
    """An amount of bytes in decimal units: 12 kB, 3.4 MB."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= unit:
            value = size_bytes / unit
            return f"{value:,.0f} {name}" if value >= 100 else f"{value:.3g} {name}"
    return f"{round(size_bytes)} B"


def _trimmed(value: float, digits: int) -> str:
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    text = f"{value:.{digits}g}" if 0 < abs(value) < 1 else f"{value:.{max(0, digits - whole)}f}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
