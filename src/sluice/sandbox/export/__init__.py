"""Exports of pools in the formats that trainers read: the one place of an experiment that reads media."""

from sluice.sandbox.export.export import FORMATS, export

__all__ = ["FORMATS", "export"]
