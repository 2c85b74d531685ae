"""Which samples are worth a look: beside a cut, duplicates with their originals, some of the kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sluice.view.source import AtomLike, RunLike, quoted, rows


@dataclass(frozen=True, slots=True)
class Pick:
    """A sample to show; `value` is that of the field in question, where there is one."""

    ordinal: int
    key: str
    value: Any = None
    fate: str = ""
    is_video: bool = False


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """One sample and what was removed as its duplicates, as `(sample, similarity or distance)` pairs."""

    original: Pick
    removed: tuple[tuple[Pick, float | None], ...]
    size: int


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """What one deduplicating step removed; `by_distance` says that its scores are distances."""

    name: str
    removed: int
    originals: int
    by_distance: bool
    groups: tuple[DuplicateGroup, ...]


_UNORDERED = frozenset({"=", "==", "<>", "!="})


def near_cut(run: RunLike, atom: AtomLike, each: int) -> tuple[list[Pick], list[Pick]]:
    """The samples closest to the cut: dropped ones that fail the comparison, kept ones that pass, closest first."""
    if atom.margin_column is None or atom.op in _UNORDERED:
        return [], []
    margin = quoted(atom.margin_column)
    touching = "fails" if atom.op in (">", "<") else "passes"
    sides = {}
    for side, strict, fate in (("fails", "<", "dropped"), ("passes", ">", "kept")):
        sign = f"{strict}=" if side == touching else strict
        # What passes is best shown by what a stricter cut would take from the kept; duplicates are left out, for
        # six copies of one picture teach less than six pictures.
        found = rows(
            run,
            f"""SELECT ordinal FROM fates WHERE {margin} {sign} 0 AND fate = '{fate}'
                ORDER BY abs({margin}), ordinal LIMIT {int(each)}""",
        )
        sides[side] = described(run, [r["ordinal"] for r in found], atom.field)
    return sides["fails"], sides["passes"]


def described(run: RunLike, ordinals: Iterable[int], field: str | None = None) -> list[Pick]:
    """The samples with their keys, fates and values of a field, in the order of `ordinals`."""
    wanted = [int(o) for o in ordinals]
    if not wanted:
        return []
    value = quoted(field) if field else "NULL"
    chosen = ", ".join(map(str, wanted))
    found = rows(
        run,
        f"""SELECT ordinal, key, value, fate, is_video
            FROM (SELECT ordinal, key, {value} AS value, {_IS_VIDEO} AS is_video
                  FROM samples WHERE ordinal IN ({chosen}))
            JOIN (SELECT ordinal, fate FROM fates WHERE ordinal IN ({chosen})) USING (ordinal)""",
    )
    by_ordinal = {
        r["ordinal"]: Pick(r["ordinal"], r["key"], r["value"], r["fate"], bool(r["is_video"])) for r in found
    }
    return [by_ordinal[o] for o in wanted if o in by_ordinal]


_IS_VIDEO = "coalesce(list_contains([i.modality for i in items], 'video'), FALSE)"


def duplicates(run: RunLike, rule_texts: dict[str, str], groups: int, each: int) -> list[DuplicateRule]:
    """What each deduplicating step removed, with its most instructive groups: the closest calls first."""
    found = rows(
        run,
        """SELECT coalesce(rule, '') AS rule, count(*) AS removed, count(DISTINCT duplicate_of) AS originals,
               min(similarity) AS least, max(similarity) AS most
           FROM fates WHERE fate = 'duplicate' GROUP BY ALL ORDER BY min(ordinal)""",
    )
    result = []
    for r in found:
        # The rule says which; else no duplicate has a similarity of 0 or one well above 1.
        by_distance = "distance" in rule_texts.get(r["rule"], "") or r["least"] == 0 or (r["most"] or 0) > 1.5
        shown = _groups(run, r["rule"], by_distance, groups, each)
        result.append(DuplicateRule(r["rule"], r["removed"], r["originals"], by_distance, tuple(shown)))
    order = list(rule_texts)
    return sorted(result, key=lambda r: order.index(r.name) if r.name in order else len(order))


def _groups(run: RunLike, rule: str, by_distance: bool, groups: int, each: int) -> list[DuplicateGroup]:
    last, order = ("max", "DESC") if by_distance else ("min", "ASC")
    found = rows(
        run,
        f"""SELECT duplicate_of, count(*) AS n FROM fates
            WHERE fate = 'duplicate' AND coalesce(rule, '') = ? AND duplicate_of IS NOT NULL
            GROUP BY duplicate_of ORDER BY {last}(similarity) {order} NULLS LAST, n DESC, duplicate_of
            LIMIT {int(groups)}""",
        rule,
    )
    chosen = ", ".join(str(int(r["duplicate_of"])) for r in found)
    members = rows(
        run,
        f"""SELECT ordinal, duplicate_of, similarity FROM fates
            WHERE fate = 'duplicate' AND coalesce(rule, '') = ? AND duplicate_of IN ({chosen or "NULL"})
            QUALIFY row_number() OVER
                (PARTITION BY duplicate_of ORDER BY similarity {order} NULLS LAST, ordinal) <= {int(each)}
            ORDER BY similarity {order} NULLS LAST, ordinal""",
        rule,
    )
    wanted = [r["duplicate_of"] for r in found] + [m["ordinal"] for m in members]
    picks = {p.ordinal: p for p in described(run, wanted)}
    result = []
    for r in found:
        own = [m for m in members if m["duplicate_of"] == r["duplicate_of"]]
        scored = tuple((picks[m["ordinal"]], m["similarity"]) for m in own)
        result.append(DuplicateGroup(picks[r["duplicate_of"]], scored, r["n"]))
    return result


def kept_at_random(run: RunLike, most: int, seed: int = 0) -> list[Pick]:
    """A draw from the kept samples that is the same whenever the run is."""
    found = rows(
        run,
        f"""SELECT ordinal FROM fates WHERE fate = 'kept'
            ORDER BY hash(ordinal + {int(seed)}), ordinal LIMIT {int(most)}""",
    )
    return described(run, [r["ordinal"] for r in found])


def failures(run: RunLike, each: int) -> dict[str, list[str]]:
    """For each reason the keys of its first samples."""
    found = rows(
        run,
        f"""SELECT coalesce(reason, 'unknown') AS reason, list(key ORDER BY ordinal)[1:{int(each)}] AS keys
            FROM (SELECT ordinal, key FROM samples)
            JOIN (SELECT ordinal, reason FROM fates WHERE fate = 'failed') USING (ordinal)
            GROUP BY 1 ORDER BY 1""",
    )
    return {r["reason"]: r["keys"] for r in found}


def parents(run: RunLike, each: int) -> dict[str, list[str]]:
    """For each reason why samples could not be split the keys of the first."""
    found = rows(
        run,
        f"""SELECT reason, list(key ORDER BY ordinal)[1:{int(each)}] AS keys
            FROM parents WHERE fate <> 'split' GROUP BY 1 ORDER BY 1""",
    )
    return {r["reason"]: r["keys"] for r in found}
