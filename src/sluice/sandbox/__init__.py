"""Data and model developed together: which data makes this model better, by how much, and are we sure?"""

from sluice.sandbox.experiment import Score, read_scores, score_table, scores_of, write_scores
from sluice.sandbox.registry import Component, evaluator, hook, inferencer, trainer

__all__ = [
    "Component",
    "Score",
    "evaluator",
    "hook",
    "inferencer",
    "read_scores",
    "score_table",
    "scores_of",
    "trainer",
    "write_scores",
]
