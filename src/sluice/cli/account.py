"""How runs and what-ifs are told to people: the equation of conservation, yields, failures, places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.cli.output import counted, near, say, size_text, table
from sluice.view.comparison import told

FATES = ("kept", "dropped", "duplicate", "failed")
PARENT_FATES = ("split", "childless", "failed")


def equation(counts: Mapping[str, Any]) -> str:
    """`1,000 read = 900 kept + 60 dropped + 30 duplicate + 10 failed`; of parents split, childless and failed."""
    fates = PARENT_FATES if "childless" in counts else FATES
    return f"{counts['read']:,} read = " + " + ".join(f"{counts.get(fate, 0):,} {fate}" for fate in fates)


def yields(found: Sequence[Mapping[str, Any]]) -> None:
    """The table of what each rule did."""
    told = {"absent": "absent", "items": "items dropped"}
    more = [each for each in told if any(e.get(each) for e in found)]
    head = ["rule", "left", "fell here first", "fail it", "fail only it", "null"] + [told[m] for m in more]
    rows = [
        [e["name"], e["kept"], e["first_failing"], e["alone"], e["only_this"], e["null"]]
        + [e.get(m, 0) for m in more]
        for e in found
    ]
    table(head, rows, right=range(1, len(head)))


def comparisons(found: Sequence[Mapping[str, Any]]) -> None:
    """How near duplicates were found, a line a step; nothing where values had to be equal."""
    lines = [(each["name"], told(each)) for each in found]
    if any(text for _, text in lines):
        say()
    for name, text in lines:
        if text:
            say(f"{name}: {text}")


def failures(reasons: Mapping[str, int], title: str = "failed because") -> None:
    """Failures by reason, most frequent first; nothing where nothing failed."""
    if reasons:
        say()
        table([title, "samples"], list(reasons.items()), right=[1])


def no_values(declined: Sequence[Mapping[str, Any]], shown: int = 8) -> None:
    """Why operators gave no value, most frequent first; nothing where all did."""
    if declined:
        say()
        rows = [(f"{each['operator']}: {each['reason']}", each["samples"]) for each in declined[:shown]]
        if len(declined) > shown:
            rows.append((f"… and {len(declined) - shown} more reasons", ""))
        table(["no value because", "samples"], rows, right=[1])


def places(summary: Mapping[str, Any]) -> None:
    """Where the results are, and what they took."""
    rows = [
        (
            "output",
            f"{near(summary['output'])}  ({counted(summary['shards'], 'shard')},"
            f" {size_text(summary['size_bytes'])})",
        )
    ]
    if summary.get("dropped_written"):
        rows.append(("dropped", _dropped(summary["dropped_written"])))
    if summary.get("report"):
        rows.append(("report", near(summary["report"])))
    rows.append(("store", near(summary["store"])))
    if summary.get("frames"):
        rows.append(("frames", frames(summary["frames"])))
    took = f"{summary['seconds']:.1f} s"
    if summary["items_per_second"]:
        took += f", {summary['items_per_second']:,.0f} samples/s"
    rows.append(("took", f"{took}, peak memory {summary['peak_rss_mb']:,.0f} MB"))
    for text, times in summary.get("notes", {}).items():
        rows.append(("note", text if times == 1 else f"{text} ({times} times)"))
    if summary.get("spent"):
        told = ", ".join(f"{name} {amount:,.6g}" for name, amount in summary["spent"].items())
        rows.append(("spent", f"{told} (all captions so far)"))
    for name, value in rows:
        say(f"{name:<8}{value}")


def frames(told: Mapping[str, Any]) -> str:
    """How many frames of videos this run decoded, and how often that is each frame of the sources."""
    measuring, writing, there = told["decoded_measuring"], told["decoded_writing"], told["in_sources"]
    if not measuring and not writing:
        return f"none decoded by this run, of {there:,} in the sources"
    text = f"{measuring:,} decoded to measure, {writing:,} to write, by this run"
    if there:
        text += f": {(measuring + writing) / there:.2f} for each of {there:,} in the sources"
    return text


def _dropped(told: Mapping[str, Any]) -> str:
    """What was written of dropped samples, and why not the others."""
    text = f"{counted(told['samples'], 'sample')} written apart ({size_text(told['size_bytes'])})"
    left = ", ".join(f"{count:,} {why}" for why, count in told["failures"].items())
    return f"{text}; not written: {left}" if left else text
