"""Counts why operators had nothing to say, so that a null never goes unnoticed where no rule judges it."""

from __future__ import annotations

from typing import Any

from sluice.store import Table

_SQL = """
SELECT note.operator, note.reason, count(DISTINCT ordinal) AS samples
FROM (SELECT ordinal, unnest(notes) AS note FROM samples WHERE notes IS NOT NULL)
WHERE note.kind = 'declined'
GROUP BY ALL ORDER BY samples DESC, note.operator, note.reason
"""


def declined(table: Table) -> list[dict[str, Any]]:
    """By operator and reason how many samples have no value for it, most frequent first."""
    if not len(table):
        return []
    rows = table.connect().execute(_SQL).fetchall()
    return [{"operator": operator, "reason": reason, "samples": count} for operator, reason, count in rows]
