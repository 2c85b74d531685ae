"""The report of an experiment: one HTML page, and its tables as Parquet beside it."""

from sluice.sandbox.report.found import Found, read
from sluice.sandbox.report.page import TABLES, build, write
from sluice.sandbox.report.tables import tables
from sluice.sandbox.report.tracking import log, need_mlflow

__all__ = ["TABLES", "Found", "build", "log", "need_mlflow", "read", "tables", "write"]
