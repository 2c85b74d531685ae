"""Whether a condition over results holds: the rules of recipes, with results in place of measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from sluice.recipe.check import Fields, FieldType, Kind, check
from sluice.recipe.expression import fields_of
from sluice.recipe.grammar import parse
from sluice.recipe.sql import Column, compile_rule


def first_names(condition: str) -> list[str]:
    """The results that a condition looks at, by name."""
    return list(dict.fromkeys(field.name.partition(".")[0] for field in fields_of(parse(condition))))


def holds(condition: str, results: Mapping[str, Any]) -> bool:
    """Whether the condition is true of the results; false where it is null.

    A number, text or truth value goes by its result's name, those inside mappings by their path
    (`verdict.gain`); a table counts by its `rows`. `RuleError` where there is nothing of that name.
    """
    import duckdb

    facts = {name: value for key, result in results.items() for name, value in _facts(key, result)}
    types = {name: FieldType(name, _kind(value)) for name, value in facts.items()}
    rule = check(parse(condition, where="repeat.until"), Fields(types))
    sql = compile_rule(rule, {name: Column(name) for name in facts})
    used = [field.name for field in fields_of(rule)]
    row = pa.table({name: pa.array([facts[name]]) for name in used})
    with duckdb.connect() as connection:
        connection.register("results", row)
        ((found,),) = connection.execute(f"SELECT {sql} FROM results").fetchall()
    return found is True


def _facts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _facts(f"{name}.{key}", inner)
    elif isinstance(value, pa.Table):
        yield f"{name}.rows", value.num_rows
    elif isinstance(value, list):
        yield f"{name}.rows", len(value)
    elif isinstance(value, bool | int | float | str):
        yield name, value


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "number"
