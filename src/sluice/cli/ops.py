"""`sluice ops`: the catalogue of operators, and one operator's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sluice.cli.output import print_json, say, table
from sluice.cli.verb import verb

if TYPE_CHECKING:
    from sluice.operator import Registry, Spec


@verb("ops", "sluice ops --modality image", "sluice ops image_sharpness")
@click.argument("name", required=False)
@click.option("--modality", help="Only operators of this modality: image, text, sample, …")
def command(name: str | None, modality: str | None, as_json: bool) -> None:
    """List what can be measured; NAME: its page."""
    from sluice.operator import registry

    known = registry()
    if name is not None:
        _tell_one(known.get(name), known, as_json)
        return
    found = [spec for spec in known if modality is None or spec.scope == modality]
    if modality is not None and not found:
        _refuse(modality, {spec.scope for spec in known})
    if as_json:
        print_json({"operators": [_document(spec, known) for spec in found]})
        return
    rows = [(s.name, s.kind, s.scope, s.by or known.cost(s), s.question, s.origin) for s in found]
    table(["operator", "kind", "modality", "cost or key", "question", "from"], rows)


def _tell_one(spec: Spec, known: Registry, as_json: bool) -> None:
    if as_json:
        print_json(_document(spec, known))
        return
    from sluice.operator.page import terminal

    say(terminal(spec, known).rstrip())


def _refuse(modality: str, known: set[str]) -> None:
    import difflib

    from sluice.errors import UsageError

    near = difflib.get_close_matches(modality, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known))}"
    raise UsageError(f"no operator is of modality {modality!r}", fix=hint)


def _document(spec: Spec, known: Registry) -> dict[str, Any]:
    columns = [
        {
            "name": o.name,
            "kind": o.kind,
            "unit": o.field.unit,
            "range": [o.field.ge, o.field.le],
            "higher_is": o.field.higher_is,
            "true_means": o.field.true_means,
            "bound": o.field.bound,
        }
        for o in spec.outputs
    ]
    return {
        "name": spec.name,
        "kind": spec.kind,
        "modality": spec.scope,
        "cost": known.cost(spec),
        "question": spec.question,
        "definition": spec.doc,
        "version": spec.version,
        "columns": columns,
        "settings": spec.settings.model_json_schema().get("properties", {}),
        "origin": spec.origin,
    }
