"""From samples to storage: one format a file, each a `Writer`."""

from sluice.writers.protocol import Partition, ShardFile, ShardResult, Writer
from sluice.writers.registry import open_writer, writer_class, writers

__all__ = ["Partition", "ShardFile", "ShardResult", "Writer", "open_writer", "writer_class", "writers"]
