"""What a job of a workflow can do: one hook a file, found by its decorator."""
