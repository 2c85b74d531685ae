"""From intent to passes: units of a source, the operators a recipe needs, and in what order they run."""

from sluice.plan.graph import Gated, MeasurePass, Plan, plan
from sluice.plan.units import Unit, cut, with_known_content

__all__ = ["Gated", "MeasurePass", "Plan", "Unit", "cut", "plan", "with_known_content"]
