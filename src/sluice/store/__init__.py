"""What is known: columns, fates, pairs and the queries over them."""

from sluice.store.compact import UnitCells, compact, table_digest
from sluice.store.decide import decide
from sluice.store.fates import FATES, Fates, RuleYield, step_name
from sluice.store.fragments import Fragment, Fragments
from sluice.store.rundir import RunDir
from sluice.store.selection import Margin, read_margins, write_selection
from sluice.store.table import Table, TableColumn

__all__ = [
    "FATES",
    "Fates",
    "Fragment",
    "Fragments",
    "Margin",
    "RuleYield",
    "RunDir",
    "Table",
    "TableColumn",
    "UnitCells",
    "compact",
    "decide",
    "read_margins",
    "step_name",
    "table_digest",
    "write_selection",
]
