"""How videos were cut: how many clips of which length, and where in their sources they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sluice.view import bins, chart, number
from sluice.view.html import Html, element, isolated, join
from sluice.view.scale import Scale
from sluice.view.source import RunLike, column_types, rows

COLUMNS = {"source_video", "source_hash", "clip_start_s", "clip_end_s", "clip_start_kind", "clip_end_kind"}
"""The columns by which clips are told from other samples."""
SOURCES, EACH_SOURCE = 8, 400
"""Sources that are drawn, and clips drawn of each."""
_FATES = (("kept", "kept"), ("dropped", "dropped"), ("duplicate", "duplicate"), ("failed", "failed"))
_KINDS = {
    "cut": "a cut",
    "gradual": "a transition",
    "start": "the start",
    "end": "the end",
    "stride": "a stride",
}


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a source: its span in seconds, what bounds it, and what became of it and why."""

    key: str
    start_s: float
    end_s: float
    start_kind: str
    end_kind: str
    fate: str
    rule: str = ""
    reason: str = ""

    @property
    def why(self) -> str:
        """Its fate in words."""
        if self.fate == "kept":
            return "kept"
        by = f" by {self.rule}" if self.rule else f": {self.reason}" if self.reason else ""
        return f"{'removed as a duplicate' if self.fate == 'duplicate' else self.fate}{by}"


@dataclass(frozen=True, slots=True)
class Source:
    """A source video with its clips in their order; `total` counts those that are not drawn, too.

    `duration_s` is None where the run does not tell it.
    """

    name: str
    total: int
    clips: tuple[Clip, ...]
    duration_s: float | None = None

    @property
    def shown_s(self) -> float:
        """Up to which second it is drawn: its end, or that of its last clip where more of them are left out."""
        last_s = max((clip.end_s for clip in self.clips), default=0.0)
        return max(last_s, self.duration_s or 0.0) if self.total == len(self.clips) else last_s


def section(run: RunLike, types: Mapping[str, str]) -> Html | None:
    """The section; None where samples are no clips."""
    if not types.keys() >= COLUMNS:
        return None
    total = _totals(run)
    if not total["clips"]:
        return None
    shown = sources(run)
    more = total["sources"] - len(shown)
    said = f"Shown: {len(shown)} of {number.count(total['sources'])} videos, the most varied." if more else ""
    bars = (timeline(source) for source in shown)
    return join(
        element("p", *_told(run, total), cls="effect"),
        element("article", element("h3", "How many seconds they last"), _lengths(run)),
        element(
            "article",
            element("h3", "Where they lie in their sources"),
            element("p", said, cls="effect") if said else None,
            _legend(shown),
            element("div", *bars, cls="timelines"),
        ),
    )


def _totals(run: RunLike) -> Mapping[str, float]:
    return rows(
        run,
        """SELECT count(clip_end_s) AS clips,
               count(DISTINCT (source_video, source_hash)) FILTER (clip_end_s IS NOT NULL) AS sources,
               coalesce(sum(clip_end_s - clip_start_s), 0)::DOUBLE AS seconds,
               coalesce(sum(clip_end_s - clip_start_s) FILTER (fate = 'kept'), 0)::DOUBLE AS kept_seconds
           FROM (SELECT ordinal, source_video, source_hash, clip_start_s, clip_end_s FROM samples)
           JOIN (SELECT ordinal, fate FROM fates) USING (ordinal)""",
    )[0]


def _told(run: RunLike, total: Mapping[str, float]) -> list[Html]:
    """How many videos gave how many clips, and what became of the other videos."""
    level = next((each for each in run.summary.get("levels") or () if "childless" in each), None)
    clips = f"{number.count(total['clips'])} clips of {number.duration(total['seconds'])}"
    kept = f", {number.duration(total['kept_seconds'])} of them kept."
    if level is None:
        return [join(f"{clips} in {number.count(total['sources'])} videos{kept}")]
    parts = [f"{number.count(level['read'])} videos: {number.count(level['split'])} gave {clips}{kept}"]
    for fate, words in (("childless", "gave none"), ("failed", "could not be read")):
        reasons = level.get("reasons", {}).get(fate) or {}
        if level.get(fate):
            why = ", ".join(
                reasons if len(reasons) == 1 else (f"{r}: {number.count(n)}" for r, n in reasons.items())
            )
            parts.append(f" {number.count(level[fate])} {words} ({why}).")
    told = [join(*parts)]
    if level.get("childless") or level.get("failed"):
        told += [join(" "), element("a", "Which", href="#parents"), join(".")]
    return told


def _lengths(run: RunLike) -> Html:
    wanted = bins.Wanted("length", "DOUBLE", "", expression="(clip_end_s - clip_start_s)")
    (found,) = bins.histograms(run, [wanted])
    if found is None:
        return element("p", "No clip has a length.", cls="note")
    label = f"Histogram of the lengths of {number.count(sum(b.total for b in found.bins))} clips in seconds"
    words = [element("span", element("i", cls="swatch kept"), "kept")]
    if any(b.total > b.kept for b in found.bins):
        words.append(element("span", element("i", cls="swatch elsewhere"), "removed"))
    figure = element("div", chart.histogram_chart(found, (), "s", True, label), cls="plot")
    return join(figure, element("p", *words, cls="legend"))


def sources(run: RunLike, most: int = SOURCES) -> list[Source]:
    """The sources whose clips met the most different ends, those with more clips first."""
    duration = "source_duration_s" if "source_duration_s" in column_types(run) else "NULL::DOUBLE"
    chosen = rows(
        run,
        f"""SELECT source_video, source_hash, count(*) AS n, max(duration_s) AS duration_s
            FROM (SELECT ordinal, source_video, source_hash, {duration} AS duration_s
                  FROM samples WHERE clip_end_s IS NOT NULL)
            JOIN (SELECT ordinal, fate, rule FROM fates) USING (ordinal)
            GROUP BY source_video, source_hash
            ORDER BY count(DISTINCT (fate, rule)) DESC, n DESC, min(ordinal) LIMIT {int(most)}""",
    )
    return [
        Source(
            each["source_video"] or "",
            each["n"],
            tuple(_clips(run, each["source_video"], each["source_hash"])),
            each["duration_s"],
        )
        for each in chosen
    ]


def _clips(run: RunLike, name: str, source_hash: str) -> list[Clip]:
    found = rows(
        run,
        f"""SELECT key, clip_start_s, clip_end_s, clip_start_kind, clip_end_kind, fate, rule, reason
            FROM (SELECT ordinal, key, clip_start_s, clip_end_s, clip_start_kind, clip_end_kind FROM samples
                  WHERE source_video IS NOT DISTINCT FROM ? AND source_hash IS NOT DISTINCT FROM ?
                  AND clip_end_s IS NOT NULL)
            JOIN (SELECT ordinal, fate, rule, reason FROM fates) USING (ordinal)
            ORDER BY clip_start_s, ordinal LIMIT {EACH_SOURCE}""",
        name,
        source_hash,
    )
    return [
        Clip(
            r["key"],
            r["clip_start_s"] or 0.0,
            r["clip_end_s"],
            r["clip_start_kind"] or "",
            r["clip_end_kind"] or "",
            r["fate"],
            r["rule"] or "",
            r["reason"] or "",
        )
        for r in found
    ]


def _legend(shown: Sequence[Source]) -> Html:
    met = {clip.fate for source in shown for clip in source.clips}
    words = [
        element("span", element("i", cls=f"swatch fate-{fate}"), word) for fate, word in _FATES if fate in met
    ]
    if any(_has_gaps(source) for source in shown):
        words.append(
            element("span", element("i", cls="swatch left-out"), "in no clip: beside a cut, or too short")
        )
    return element("p", *words, cls="legend")


def _has_gaps(source: Source) -> bool:
    """Whether some of what is drawn of a source lies in none of its clips."""
    reached = 0.0
    for clip in source.clips:
        if clip.start_s > reached + _SEEN_S:
            return True
        reached = max(reached, clip.end_s)
    return source.shown_s > reached + _SEEN_S


_SEEN_S = 0.05


def timeline(source: Source) -> Html:
    """A source as a bar from its start to its end: where its clips lie, coloured by their fates."""
    scale = Scale(0.0, source.shown_s or 1.0)
    marks = [element("rect", cls="left-out", x="0%", y=0, width="100%", height=_BAR)]
    marks += [_mark(clip, scale) for clip in source.clips]
    head = element("h5", isolated(source.name), element("small", f" {_counts(source)}"))
    label = f"{source.name}: {_counts(source)}"
    drawn = element(
        "svg", *marks, *_times(scale), cls="timeline", role="img", aria_label=label, height=_BAR + 20
    )
    return element("div", head, drawn, cls="source")


_BAR = 22
_LEAST = 0.25
"""Percent of the width of the smallest clip: else it could not be seen."""


def _mark(clip: Clip, scale: Scale) -> Html:
    x, right = scale.position(clip.start_s), scale.position(clip.end_s)
    bounds = f"{_KINDS.get(clip.start_kind, clip.start_kind)} to {_KINDS.get(clip.end_kind, clip.end_kind)}"
    title = f"{clip.key}: {number.span(clip.start_s, clip.end_s)}, {bounds}; {clip.why}"
    return element(
        "rect",
        element("title", title),
        cls=f"clip {clip.fate}",
        x=f"{x:.3f}%",
        y=0,
        width=f"{max(_LEAST, right - x):.3f}%",
        height=_BAR,
    )


_STEPS_S = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14_400,
    43_200,
    86_400,
)
_TICKS = 6


def _times(scale: Scale) -> list[Html]:
    """Round times below a bar."""
    step = next((s for s in _STEPS_S if scale.high / s <= _TICKS), scale.high / _TICKS)
    digits = 0 if step >= 1 else 1
    marks = []
    for k in range(int(scale.high / step + 1e-9) + 1):
        x = scale.position(k * step)
        anchor = "start" if x < 3 else "end" if x > 96 else "middle"
        text = number.clock(k * step, digits)
        marks.append(element("text", text, x=f"{x:.2f}%", y=_BAR + 15, cls=f"tick {anchor}"))
    return marks


def _counts(source: Source) -> str:
    """How many clips met which end: 12 clips: 8 kept, 4 dropped by black."""
    counts: dict[str, int] = {}
    for clip in source.clips:
        counts[clip.why] = counts.get(clip.why, 0) + 1
    parts = ", ".join(f"{number.count(n)} {why}" for why, n in sorted(counts.items(), key=lambda kv: -kv[1]))
    noun = "clip" if source.total == 1 else "clips"
    drawn = "" if source.total == len(source.clips) else f" (the first {len(source.clips)})"
    return f"{number.count(source.total)} {noun}{drawn}: {parts}"
