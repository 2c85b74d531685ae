"""Operators on texts and captions."""
