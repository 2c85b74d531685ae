"""Deduplicators: from one column to the verified pairs of rows that are the same or nearly so."""
