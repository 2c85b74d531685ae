"""From samples to storage: one format a file, each a `Writer`."""

from sluice.writers.protocol import Dropped, Partition, ShardFile, ShardResult, Writer
from sluice.writers.registry import open_writer, writer_class, writers

__all__ = [
    "Dropped",
    "Partition",
    "ShardFile",
    "ShardResult",
    "Writer",
    "open_writer",
    "writer_class",
    "writers",
]
