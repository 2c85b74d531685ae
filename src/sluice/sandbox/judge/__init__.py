"""Judges data itself, sample by sample, without training on each pool: classifiers, models behind endpoints, losses."""
