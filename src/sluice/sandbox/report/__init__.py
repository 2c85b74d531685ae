"""The report of an experiment: one HTML page, and its tables as Parquet beside it."""

from sluice.sandbox.report.found import Found, read
from sluice.sandbox.report.page import build, write
from sluice.sandbox.report.tables import tables
from sluice.sandbox.report.tracking import log

__all__ = ["Found", "build", "log", "read", "tables", "write"]
