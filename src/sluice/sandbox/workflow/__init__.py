"""Four phases of jobs in one YAML, run in order and continued after any interruption."""
