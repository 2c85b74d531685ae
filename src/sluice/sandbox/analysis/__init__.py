"""What the measures of samples are like: distributions, outliers, correlations, and which of them belong together."""

from sluice.sandbox.analysis.clustering import Clustering, cluster
from sluice.sandbox.analysis.correlation import CORRELATIONS, Correlation, correlation_table, correlations
from sluice.sandbox.analysis.distribution import (
    DISTRIBUTIONS,
    QUANTILES,
    Distribution,
    distribution,
    extremes,
)

__all__ = [
    "CORRELATIONS",
    "DISTRIBUTIONS",
    "QUANTILES",
    "Clustering",
    "Correlation",
    "Distribution",
    "cluster",
    "correlation_table",
    "correlations",
    "distribution",
    "extremes",
]
