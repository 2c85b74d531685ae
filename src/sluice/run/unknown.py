"""Says what a run writes without knowing of it what its operators hold to be worth knowing (licences)."""

from __future__ import annotations

import numpy as np

from sluice.recipe.expression import quote_name
from sluice.run.prepare import Prepared
from sluice.store import Fates, Table


def unknown_in_output(prepared: Prepared, table: Table, fates: Fates) -> list[str]:
    """A sentence for each column that declares what its nulls mean, of which survivors that are written have some."""
    if prepared.recipe.write is None or not len(table):
        return []
    found = []
    written = int(fates.kept.sum())
    for column in prepared.plan.columns:
        if column.output.field.unknown and column.modality is None:
            sql = f"SELECT ordinal FROM samples WHERE {quote_name(column.name)} IS NULL"
            nulls = table.connect().sql(sql).to_arrow_table().column(0).to_numpy()
            count = int(np.count_nonzero(fates.kept[nulls]))
            if count:
                words = f"{count:,} of {written:,} samples written {column.output.field.unknown}"
                found.append(f"{words} ({column.name} is null)")
    return found
