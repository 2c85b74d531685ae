"""Intent: what to read, judge, deduplicate and write, from YAML or Python to one `Recipe`."""
