"""From samples to storage: one format a file, each a `Writer`."""

from sluice.write.protocol import ShardFile, ShardResult, Writer
from sluice.write.registry import open_writer, writer_class, writers

__all__ = ["ShardFile", "ShardResult", "Writer", "open_writer", "writer_class", "writers"]
