"""Statistics of experiments: paired by seed, corrected for how many arms there are, honest about what is not known."""

from sluice.sandbox.statistics.compare import Comparison, Order, compare, order
from sluice.sandbox.statistics.composite import Composites
from sluice.sandbox.statistics.correction import adjusted
from sluice.sandbox.statistics.halving import Halved, Rung, halving, rungs
from sluice.sandbox.statistics.noise import Noise, noise_floor
from sluice.sandbox.statistics.pairs import Pairs, Unpaired, paired
from sluice.sandbox.statistics.power import detectable_effect, power, seeds_needed
from sluice.sandbox.statistics.relative import change_scores, relative_change
from sluice.sandbox.statistics.significance import summary_p_value

__all__ = [
    "Comparison",
    "Composites",
    "Halved",
    "Noise",
    "Order",
    "Pairs",
    "Rung",
    "Unpaired",
    "adjusted",
    "change_scores",
    "compare",
    "detectable_effect",
    "halving",
    "noise_floor",
    "order",
    "paired",
    "power",
    "relative_change",
    "rungs",
    "seeds_needed",
    "summary_p_value",
]
