"""Operators on an image and the text that belongs to it."""
