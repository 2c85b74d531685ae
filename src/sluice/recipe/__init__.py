"""Intent: what to read, judge, deduplicate and write, from YAML or Python to one `Recipe`."""

from sluice.recipe.check import Fields, FieldType, check, check_items
from sluice.recipe.expression import Rule, fields_of, text_of
from sluice.recipe.grammar import parse
from sluice.recipe.load import load, loads
from sluice.recipe.margins import Atom, atoms, compile_margin
from sluice.recipe.recipe import Limits, Recipe, Source, Write
from sluice.recipe.selectors import Balance, Frequency, Mixture, Quantile, SampleStep, Selector, Top
from sluice.recipe.sql import Column, Layout, compile_items, compile_rule
from sluice.recipe.steps import (
    STEP_KINDS,
    Dedup,
    DropItems,
    Keep,
    Map,
    Measure,
    OperatorRef,
    Position,
    Split,
    Step,
)

__all__ = [
    "STEP_KINDS",
    "Atom",
    "Balance",
    "Column",
    "Dedup",
    "DropItems",
    "FieldType",
    "Fields",
    "Frequency",
    "Keep",
    "Layout",
    "Limits",
    "Map",
    "Measure",
    "Mixture",
    "OperatorRef",
    "Position",
    "Quantile",
    "Recipe",
    "Rule",
    "SampleStep",
    "Selector",
    "Source",
    "Split",
    "Step",
    "Top",
    "Write",
    "atoms",
    "check",
    "check_items",
    "compile_items",
    "compile_margin",
    "compile_rule",
    "fields_of",
    "load",
    "loads",
    "parse",
    "text_of",
]
