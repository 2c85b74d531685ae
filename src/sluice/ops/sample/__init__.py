"""Operators on whole samples."""
