"""What an operator is: its declaration, its settings, how it is found, run and checked."""

from sluice.operator.declare import DeclarationError, deduplicator, feature, mapper, measure, splitter, track
from sluice.operator.evaluate import Measured, Program
from sluice.operator.instance import Instance
from sluice.operator.registry import Registry, registry
from sluice.operator.spec import Cost, Field, Kind, Need, Output, Spec
from sluice.operator.tracks import Span

__all__ = [
    "Cost",
    "DeclarationError",
    "Field",
    "Instance",
    "Kind",
    "Measured",
    "Need",
    "Output",
    "Program",
    "Registry",
    "Span",
    "Spec",
    "deduplicator",
    "feature",
    "mapper",
    "measure",
    "registry",
    "splitter",
    "track",
]
