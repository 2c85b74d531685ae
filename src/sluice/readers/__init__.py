"""From storage to samples: one format a file, each a `Reader`."""

from sluice.readers.protocol import FileStat, Reader, Slice
from sluice.readers.registry import detect_format, open_reader, reader_class, readers

__all__ = ["FileStat", "Reader", "Slice", "detect_format", "open_reader", "reader_class", "readers"]
