"""Draws an operator's reference page, for the web and for the terminal, from its declaration alone."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sluice.operator.frames import Frames, reduces_of
from sluice.operator.instance import ROOTS
from sluice.operator.registry import Registry, feature_key
from sluice.operator.spec import ANY_SIZE, OVER, Contents, Output, Spec

COST_MEANS = {
    "header": "reads file heads or bytes; no pixels are decoded",
    "decode": "decodes the media",
    "model": "runs a model; gated by the `keep` rules before it",
    "remote": "asks a service; gated by the `keep` rules before it",
}
_ROOT_MEANS = {
    "item": "the item itself",
    "media": "the view of the item's bytes",
    "encoded": "all encoded bytes of the item",
    "text": "the item's text",
    "sample": "the whole sample",
    "frame": "a frame of a video",
}
_COMPARES = {
    "hash": "equal values",
    "bits": "hashes, by Hamming distance",
    "vector": "vectors, by cosine",
    "binary": "sketches of sets, by Jaccard similarity",
}
_MAPPER_PLACE = (
    "First of all steps: measures see what it makes. After all others: only what is written changes."
)
_SPLITTER_PLACE = "First of all steps, after the mappers it needs: all others see what it makes."
_WIDTH = 88


@dataclass(frozen=True)
class _Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Part:
    """A heading with what stands under it: paragraphs, a table, or lines of a recipe."""

    title: str
    text: str = ""
    table: _Table | None = None
    recipe: str = ""


def markdown(spec: Spec, known: Registry) -> str:
    """The page as Markdown; the first line is the heading."""
    lines = [f"# {spec.name}", "", f"*{spec.question}*", "", spec.doc, ""]
    for part in _parts(spec, known):
        lines += [f"## {part.title}", ""]
        lines += [part.text, ""] if part.text else []
        lines += [*_markdown_table(part.table), ""] if part.table else []
        lines += ["```yaml", part.recipe, "```", ""] if part.recipe else []
    return "\n".join(lines).rstrip() + "\n"


def terminal(spec: Spec, known: Registry) -> str:
    """The page as plain text of at most 88 columns, for `sluice ops NAME`."""
    lines = [spec.name, spec.question, "", *_wrapped(spec.doc), ""]
    for part in _parts(spec, known):
        lines += [f"{part.title}:"]
        lines += textwrap.wrap(_plain(part.text), _WIDTH, initial_indent="  ", subsequent_indent="  ")
        lines += _aligned(part.table) if part.table else []
        lines += textwrap.indent(part.recipe, "  ").splitlines()
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def index(specs: Iterable[Spec], known: Registry) -> str:
    """One Markdown page that lists operators by scope, each with its question."""
    lines = ["# Operators", "", "What can be measured and compared; `sluice ops NAME` prints a page.", ""]
    by_scope: dict[str, list[Spec]] = {}
    for spec in specs:
        by_scope.setdefault(spec.scope if spec.kind == "measure" else spec.kind, []).append(spec)
    for scope, members in sorted(by_scope.items()):
        rows = tuple(
            (f"[{s.name}]({s.name}.md)", s.question, _COMPARES.get(s.by) or known.cost(s)) for s in members
        )
        head = ("operator", "question", "compares" if scope == "deduplicator" else "cost")
        lines += [f"## {scope}", "", *_markdown_table(_Table(head, rows)), ""]
    return "\n".join(lines).rstrip() + "\n"


def example_rule(output: Output) -> str:
    """A step of a recipe that uses a column: its documented default bound where it has one."""
    name, bound = output.name, output.field.bound
    if output.kind == "bits":
        return f"- dedup: {{by: {name}, distance: {6 if output.field.bits == 64 else 31}}}"
    if output.kind in ("vector", "binary"):
        return f"- dedup: {{by: {name}, similarity: {0.95 if output.kind == 'vector' else 0.8}}}"
    if not bound:
        return f"- keep: {name}" if output.kind == "bool" else f"- keep: {name} is not null"
    low, dots, high = bound.partition("..")
    if not dots:
        return f"- keep: {name} {bound}"
    sides = [f"{name} >= {low}" if low else "", f"{name} <= {high}" if high else ""]
    return "- keep: " + " and ".join(side for side in sides if side)


def _parts(spec: Spec, known: Registry) -> list[_Part]:
    parts = [_columns(spec)] if spec.outputs else []
    if spec.settings.model_fields:
        parts.append(_settings(spec))
    parts.append(_inputs(spec, known))
    if spec.outputs:
        parts.append(_Part("In a recipe", recipe="\n".join(dict.fromkeys(map(example_rule, spec.outputs)))))
        parts += _over(spec, known)
    if spec.kind == "mapper":
        parts.append(_Part("In a recipe", text=_MAPPER_PLACE, recipe=f"- map: {spec.name}"))
    if spec.kind == "splitter":
        parts.append(_Part("In a recipe", text=_SPLITTER_PLACE, recipe=f"- split: {spec.name}"))
    parts.append(_facts(spec, known))
    return parts


def _over(spec: Spec, known: Registry) -> list[_Part]:
    """What it can be asked for over instead of over one item, with the step that asks."""
    found = []
    for word, over in OVER.items():
        if spec.kind != "measure" or spec.scope != over.scope:
            continue
        name = (over.modality or word) + spec.name.removeprefix(over.scope)
        if word == "frames":
            reduces = reduces_of(spec.outputs)
            if not reduces or known.cost(spec) == "header":
                continue
            title = "Over the frames of a video"
            text = (
                "`over: frames` gives one value a video: frames of it are measured, each as a picture of its own, and "
                f"`reduce` makes one value of theirs ({_or(reduces)}; `mean` by default). Which frames is said by "
                "`fps: 2` (so many a second), `frames: 8` (so many, spread evenly) or `keyframes: true`."
            )
            recipe = f"- measure: {{{spec.name}: {{over: frames, fps: 2, as: {name}}}}}"
        else:
            title, text = (
                f"Over a whole {word}",
                f"`over: {word}` gives one value a sample: of {over.definition}.",
            )
            recipe = f"- measure: {{{spec.name}: {{over: {word}, as: {name}}}}}"
        found.append(_Part(title, text=text, recipe=recipe))
    return found


def _or(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _columns(spec: Spec) -> _Part:
    head = ("column", "value", "unit", "range", "meaning", "usual bound")
    rows = [
        (f"`{o.name}`", _kind(o), o.field.unit, _range(o), _meaning(o), o.field.bound) for o in spec.outputs
    ]
    return _Part("Columns", table=_without_empty(head, rows))


def _kind(output: Output) -> str:
    field = output.field
    if output.kind == "vector":
        return "vector" if field.size == ANY_SIZE else f"vector of {field.size}"
    if output.kind == "binary":
        return "bytes"
    if output.kind == "bits":
        return f"{field.bits} bits"
    return {float: "number", int: "whole number", bool: "true or false", str: "text"}[output.python]


def _range(output: Output) -> str:
    low, high = output.field.ge, output.field.le
    if low is None and high is None:
        return ""
    return f"{'−∞' if low is None else f'{low:g}'} to {'∞' if high is None else f'{high:g}'}"


def _meaning(output: Output) -> str:
    if output.field.true_means:
        return f"true: {output.field.true_means}"
    return f"higher is {output.field.higher_is}" if output.field.higher_is else ""


def _settings(spec: Spec) -> _Part:
    schema = spec.settings.model_json_schema()
    rows = []
    for name, field in spec.settings.model_fields.items():
        about = schema["properties"][name]
        default = "required" if field.is_required() else f"`{about.get('default')}`"
        rows.append((f"`{name}`", _allowed(about), default, field.description or ""))
    return _Part("Settings", table=_without_empty(("setting", "allowed", "default", "meaning"), rows))


def _allowed(about: dict[str, Any]) -> str:
    if "enum" in about:
        return ", ".join(f"`{value}`" for value in about["enum"])
    if "anyOf" in about:
        return " or ".join(_allowed(option) for option in about["anyOf"])
    words = {"integer": "whole number", "boolean": "true or false", "string": "text", "null": "null"}
    bounds = [
        f"{sign} {about[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in about
    ]
    kind = str(about.get("type", about.get("const", "any")))
    return " ".join([words.get(kind, kind), *bounds])


def _inputs(spec: Spec, known: Registry) -> _Part:
    if spec.kind == "deduplicator":
        return _Part("Compares", text=_COMPARES[spec.by])
    features = {(f.scope, f.name): f for f in known.features()}
    rows = []
    for need in spec.needs:
        frames = need.marked(Frames)
        feature = features.get(feature_key("pair" if frames else spec.scope, need.name))
        if need.name in ROOTS.get(spec.scope, ()):
            meaning = _ROOT_MEANS[need.name]
        elif feature is not None:
            meaning = feature.summary
        else:
            meaning = f"the measure [{need.name}]({need.name}.md)"
        if frames is not None:
            said = ", ".join(f"`{name}: {value}`" for name, value in frames.asked.items()).replace(
                "True", "true"
            )
            meaning = f"of each frame (by default {said}): {meaning}"
        only = f" (only with `{need.when.setting}: {need.when.value}`)" if need.when else ""
        rows.append((f"`{need.name}`", meaning + only))
    return _Part("Made from", table=_Table(("input", "what it is"), tuple(rows)))


def _facts(spec: Spec, known: Registry) -> _Part:
    cost = known.cost(spec)
    rows = [
        ("cost", f"`{cost}`: {COST_MEANS[cost]}") if spec.kind != "deduplicator" else ("kind", spec.kind),
        ("version", str(spec.version)),
        ("libraries whose versions count", ", ".join(spec.libraries)),
        *_named(spec, known),
        ("from", f"`{spec.origin}`, module `{spec.module}`"),
    ]
    return _Part("Facts", table=_Table(("", ""), tuple(row for row in rows if row[1])))


def _named(spec: Spec, known: Registry) -> list[tuple[str, str]]:
    """What the settings' defaults name outside the code (its own and those of what it needs), with licences."""
    if any(f.is_required() for f in spec.settings.model_fields.values()) or spec.name not in known:
        return []
    found: dict[tuple[str, str], None] = {}
    for instance in known.bind(spec.name).closure() if spec.kind != "deduplicator" else ():
        for name, marker in instance.spec.marked(Contents).items():
            about = marker.about(instance.settings[name])
            if about:
                found[(f"{name} by default", about)] = None
    return list(found)


def _without_empty(head: Sequence[str], rows: Sequence[Sequence[str]]) -> _Table:
    used = [k for k in range(len(head)) if any(row[k] for row in rows)]
    return _Table(tuple(head[k] for k in used), tuple(tuple(row[k] for k in used) for row in rows))


def _markdown_table(table: _Table) -> list[str]:
    rows = [table.head, ("---",) * len(table.head), *table.rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def _aligned(table: _Table) -> list[str]:
    """A table for a terminal: all columns but the last padded, the last wrapped within its width."""
    rows = [table.head, *table.rows] if len(table.head) > 2 else table.rows
    cells = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]) - 1)] if cells else []
    lines = []
    for row in cells:
        start = "  " + "".join(f"{cell:<{width}}  " for cell, width in zip(row[:-1], widths, strict=True))
        room = max(24, _WIDTH - len(start))
        first, *rest = textwrap.wrap(row[-1], room) or [""]
        lines += [(start + first).rstrip(), *(" " * len(start) + line for line in rest)]
    return lines


def _wrapped(doc: str) -> list[str]:
    paragraphs = [textwrap.fill(" ".join(p.split()), _WIDTH) for p in doc.split("\n\n")]
    return "\n\n".join(_plain(p) for p in paragraphs).splitlines()


def _plain(text: str) -> str:
    """Markdown's quotes and links taken off."""
    while "](" in text:
        before, _, after = text.partition("](")
        label = before.rpartition("[")
        text = label[0] + label[2] + after.partition(")")[2]
    return text.replace("`", "")
