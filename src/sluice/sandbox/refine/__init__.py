"""Refines recipes by what was measured: thresholds by their distribution, and searches over them."""
