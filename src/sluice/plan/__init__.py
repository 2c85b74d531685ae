"""From intent to passes: units of a source, the operators a recipe needs, and in what order they run."""

from sluice.plan.graph import Gated, MeasurePass, Plan, plan
from sluice.plan.idle import idle_rules
from sluice.plan.mapping import Mappers, leading_steps, mappers_of
from sluice.plan.units import Unit, cut, with_known_content

__all__ = [
    "Gated",
    "Mappers",
    "MeasurePass",
    "Plan",
    "Unit",
    "cut",
    "idle_rules",
    "leading_steps",
    "mappers_of",
    "plan",
    "with_known_content",
]
