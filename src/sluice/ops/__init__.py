"""The catalogue: one operator a file, each answering one question."""
