"""Imported by the fork server alone: loads every operator once, so that each worker starts with them loaded."""

from sluice.operator import registry

registry()
