"""`sluice why`: one sample's fate, with all that led to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from sluice.cli.output import cell_text, print_json, say, size_text, table
from sluice.cli.verb import verb

_MARKS = {True: "✓", False: "✗", None: "?"}


@verb("why", "sluice why demo/curated originals/coffee")
@click.argument("run")
@click.argument("key")
def command(run: str, key: str, as_json: bool) -> None:
    """Tell why a sample was kept or not.

    Every value, every rule with its margin, duplicates and errors of the sample KEY of RUN. KEY is a
    sample's key or id. A key that stands in several shards has several samples; all are shown.
    """
    from sluice.store.opened import Run
    from sluice.store.whatif import why

    found = why(Run.open(run), key)
    if as_json:
        print_json({"run": run, "key": key, "samples": found})
        return
    for number, sample in enumerate(found):
        if number:
            say()
        (_tell_parent if "children" in sample else _tell)(sample)


def _tell_parent(parent: Mapping[str, Any]) -> None:
    """A sample that a splitter took apart."""
    fate = (
        f"split into {parent['children']:,}"
        if parent["children"]
        else f"{parent['fate']} ({parent['reason']})"
    )
    say(f"{parent['key']}: {fate}", bold=True)
    say(f"id {parent['id']}")
    if parent["detail"]:
        say(f"  {parent['detail']}")
    if parent["children"]:
        counts = ", ".join(f"{n:,} {name}" for name, n in parent["children_fates"].items())
        say(f"  from {parent['key']}_0000 on: {counts}")


def _tell(sample: Mapping[str, Any]) -> None:
    say(f"{sample['key']}: {_fate(sample)}", bold=True)
    say(f"id {sample['id']}")
    if sample["parent"] is not None:
        say(f"  one of {sample['parent']['children']:,} made of {sample['parent']['key']}")
    for item in sample["items"]:
        kind = " ".join(filter(None, (item["modality"], item["name"])))
        lost = f"  {_lost(item['lost'])}" if item["lost"] else ""
        say(f"  {kind}  {item['uri'] or 'inside its table'}  {size_text(item['size'])}{lost}")
    if sample["rules"]:
        say()
        table(["", "rule", "comparison", "margin", "in IQR"], list(_rule_rows(sample["rules"])), right=[3, 4])
    if sample["values"]:
        say()
        table(["measure", "value"], [(name, _value(v)) for name, v in sample["values"].items()])
    for twin in sample["duplicates"]:
        say(f"  stands for its duplicate {twin['key']}{_similarity(twin)}")
    for note in sample["notes"]:
        where = f" in item {note['item']}" if note["item"] >= 0 else ""
        by = f" ({note['operator']})" if note["operator"] else ""
        say(f"  {note['kind']}{where}{by}: {note['reason']}{': ' + note['detail'] if note['detail'] else ''}")


def _fate(sample: Mapping[str, Any]) -> str:
    fate = str(sample["fate"])
    if fate == "failed":
        return f"failed ({sample['reason']})"
    if fate == "duplicate":
        twin = sample["duplicate_of"] or {}
        return f"duplicate of {twin.get('key', '?')}{_similarity(sample)}, by {sample['decided_by']!r}"
    if fate == "dropped":
        others = [name for name in sample["failing"] or [] if name != sample["decided_by"]]
        also = f"; also fails {', '.join(map(repr, others))}" if others else ""
        reason = f" ({sample['reason']})" if sample["reason"] else ""
        return f"dropped by {sample['decided_by']!r}{reason}{also}"
    return f"kept, in shard {sample['shard']}" if sample["shard"] is not None else "kept"


def _lost(lost: Mapping[str, Any]) -> str:
    """What befell an item inside its sample."""
    if lost["rule"] is None:
        return f"left out: {lost['reason']}"
    reason = f" ({lost['reason']})" if lost["reason"] else ""
    return f"{lost['fate']} by {lost['rule']!r}{reason}"


def _similarity(of: Mapping[str, Any]) -> str:
    value, meaning = of.get("similarity"), of.get("similarity_is")
    if value is None or meaning is None:
        return ""
    if meaning == "distance":
        return " (no bit apart)" if value == 0 else f" ({value:.0f} bit{'s' * (value != 1)} apart)"
    if meaning == "identity":
        return " (identical)"
    return f" ({'Jaccard' if meaning == 'jaccard' else meaning} {value:.4f})"


def _rule_rows(rules: list[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for rule in rules:
        title = rule["name"] if rule["name"] == rule["rule"] else f"{rule['name']}: {rule['rule']}"
        parts = rule["margins"] or [{"comparison": "", "margin": None, "margin_iqr": None}]
        for number, part in enumerate(parts):
            head = (_MARKS[rule["passes"]], title) if number == 0 else ("", "")
            yield (*head, part["comparison"], _signed(part["margin"]), _signed(part["margin_iqr"]))


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+,.4g}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(map(cell_text, value[:8]))
        return f"{text} … ({len(value)} values)" if len(value) > 8 else text
    return "null" if value is None else cell_text(value)
