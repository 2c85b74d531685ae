"""Recomputes the numbers of the Data-Juicer Sandbox paper (arXiv 2407.11784) and says which do not add up."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sluice.errors import SluiceError, UsageError
from sluice.sandbox.operators import operators
from sluice.sandbox.pools import RATES, Tier, expand, lattice
from sluice.sandbox.recommend import Recommendation, recommend
from sluice.sandbox.report.page import style
from sluice.sandbox.report.ranking import ranking
from sluice.sandbox.statistics import Comparison, Composites, adjusted, relative_change, summary_p_value
from sluice.sandbox.statistics.compare import Verdict
from sluice.sandbox.statistics.significance import t_limit
from sluice.view.html import element, join
from sluice.view.page import document, section

FOLDER = Path(__file__).parent
WITHIN = 0.010
"""How far a number recomputed from rounded ones may lie from the printed one."""
CELLS = {"image-to-text": 69, "text-to-video": 62}
"""Cells that Table 4 has."""


@dataclass(frozen=True)
class Check:
    """One number: as the paper prints it, and as it comes out; `note` says what would agree where they differ."""

    name: str
    printed: float
    computed: float
    note: str = ""
    within: float = WITHIN

    @property
    def agrees(self) -> bool:
        """Whether they are the same but for rounding."""
        return abs(self.printed - self.computed) <= self.within + 1e-9


def rows(name: str, folder: Path = FOLDER) -> list[dict[str, str]]:
    """The rows of one of the CSV files."""
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def boards(name: str, folder: Path = FOLDER) -> Iterator[Check]:
    """The board score of each row from its two halves, by VBench's definition."""
    composites = Composites.read("vbench")
    for row in rows(name, folder):
        quality, semantic, printed = (float(row[column]) for column in ("quality", "semantic", "board"))
        found = composites.of({"quality": quality, "semantic": semantic})["board"]
        check = Check(f"{name.removesuffix('.csv')}, row {row['row']}", printed, found)
        if not check.agrees:
            note = f"inconsistent: semantic would have to be {5 * printed - 4 * quality:.2f}"
            check = Check(check.name, printed, found, note)
        yield check


def change() -> Check:
    """Equation 3 of Table 5's last row against its first, in percent."""
    first, *_, last = rows("table5.csv")
    after, before = ([float(row[column]) for column in ("quality", "semantic")] for row in (last, first))
    return Check("relative change (equation 3), %", 2.377, 100 * relative_change(after, before))


@dataclass(frozen=True)
class Cell:
    """One cell of Table 4: mean change in percent, its SD where it is known, and of how many repeats."""

    task: str
    pool: str
    mean: float
    sd: float | None
    repeats: int

    @property
    def p(self) -> float | None:
        """By a two-sided one-sample t-test; `UsageError` where the SD is an input error, None where there is none."""
        return None if self.sd is None else summary_p_value(self.mean, self.sd, self.repeats)


def cells(folder: Path = FOLDER) -> list[Cell]:
    """The cells of Table 4 that are in the file."""
    return [
        Cell(
            r["task"],
            f"{r['operator']}-{r['pool']}",
            float(r["mean"]),
            float(r["sd"]) if r["sd"] else None,
            int(r["repeats"]),
        )
        for r in rows("table4.csv", folder)
    ]


def best(task: str, folder: Path = FOLDER) -> list[Cell]:
    """The three operators of Table 1: by the mean of their best pool."""
    return sorted((c for c in cells(folder) if c.task == task), key=lambda c: -c.mean)[:3]


@dataclass(frozen=True)
class Significance:
    """How many cells of a task have p < 0.05, alone and corrected, and what is wrong with others."""

    task: str
    tested: int
    alone: int
    holm: int
    bh: int
    wrong: tuple[str, ...]


def significance(task: str, folder: Path = FOLDER) -> Significance:
    """The significant cells of Table 4, as far as they are in the file."""
    ps: list[float] = []
    wrong = []
    for cell in cells(folder):
        if cell.task != task:
            continue
        try:
            ps += [] if cell.p is None else [cell.p]
        except UsageError as error:
            wrong.append(f"{cell.pool}: {error.what}")
    counts = [sum(p < 0.05 for p in each) for each in (ps, adjusted(ps, "holm"), adjusted(ps, "bh"))]
    return Significance(task, len(ps), *counts, tuple(wrong))


def expansion() -> Iterator[Check]:
    """Section 5.4: how much of a text-to-video pool comes from lower tiers, of a top tier of 147k, in percent."""
    keys = np.random.default_rng(0).permutation(500_000).astype(np.uint64)
    pyramid = [Tier(2, ("top",), np.arange(147_000)), Tier(1, ("lower",), np.arange(147_000, 500_000))]
    for rate, printed in zip(RATES, (0, 8.1, 38.75, 54.1, 63.25), strict=True):
        grown = expand(pyramid, keys, base=40_000, rate=rate, strategy="extend")
        # Some are printed with one decimal.
        yield Check(
            f"lower tiers at {rate} times 40k, %", printed, 100 * grown.shares.get(1, 0.0), within=0.05
        )


def overlap() -> Iterator[Check]:
    """Two thirds of 1,217k samples that share 147k: how many, and how many more than by chance."""
    count, shared = 1_217_000, 147_000
    third = count // 3
    pools = {"a": np.arange(third), "b": np.arange(third - shared, 2 * third - shared)}
    found = lattice(count, pools)
    yield Check("overlap of two thirds, %", 12.08, 100 * len(found.members(["a", "b"])) / count)
    yield Check("lift over 1/9", 1.087, found.lift(["a", "b"]))


def budget() -> Check:
    """Three pools of each of 21 operators and a control, two seeds, 16 hours a training."""
    return Check("GPU-hours", 2048, (21 * 3 + 1) * 2 * 16)


def pair_or_triple() -> Recommendation:
    """The combination to take of the best two and of the best three operators, by their relative changes in percent."""
    changes = {"first-high+second-low": 2.48, "first-high+second-low+third-high": 1.88}
    better = [
        Comparison(arm, "change", "higher", (42, 45), mean=mean, verdict="better")
        for arm, mean in changes.items()
    ]
    return recommend(better, "change")


def table_1() -> str:
    """Table 1 as our report shows operators: one page, each task by the cells that are here, with intervals."""
    found = [_comparison(cell) for task in CELLS for cell in cells() if cell.task == task]
    ranked = {task: operators(found, task) for task in CELLS}
    body = join(
        element("header", element("h1", "Data-Juicer Sandbox, Table 1"), cls="top"),
        element(
            "main", *(section(f"task-{k}", t, ranking(of, t)) for k, (t, of) in enumerate(ranked.items()))
        ),
    )
    return document("Data-Juicer Sandbox, Table 1", body, style())


def _comparison(cell: Cell) -> Comparison:
    """A cell as a comparison, corrected for all cells that its task has in the paper; the metric is the task."""
    of = Comparison(cell.pool, cell.task, "higher", tuple(range(cell.repeats)), mean=cell.mean, sd=cell.sd)
    if cell.p is None or cell.sd is None:
        return replace(of, why="no SD is known here")
    half = t_limit(0.025, cell.repeats - 1) * cell.sd / cell.repeats**0.5
    (corrected,) = adjusted([cell.p], "holm", more=CELLS[cell.task] - 1)
    verdict: Verdict = "better" if corrected <= 0.05 else "not distinguishable"
    ends = {"low": cell.mean - half, "high": cell.mean + half}
    return replace(of, p=cell.p, p_adjusted=corrected, verdict=verdict, **ends)


def checks() -> list[Check]:
    """All that is printed and can be recomputed."""
    nsfw = Check("p of NSFW-high", 0.072, best("image-to-text")[0].p or 0.0)
    tables = [*boards("table2.csv"), *boards("table5.csv")]
    return [*tables, change(), nsfw, *expansion(), *overlap(), budget()]


def main() -> int:
    """Print every number beside the paper's, the top three of Table 1, and what Table 4 would need."""
    try:
        for check in checks():
            sign = "=" if check.agrees else "≠"
            print(
                f"{check.name:34} {check.printed:10.3f} {sign} {check.computed:10.3f}  {check.note}".rstrip()
            )
        for task, of in CELLS.items():
            top = ", ".join(f"{cell.pool} {cell.mean:g}" for cell in best(task))
            found = significance(task)
            print(f"\n{task}: {top}")
            print(
                f"  of {found.tested} cells with an SD {found.alone} have p < 0.05 alone, {found.holm} by Holm,"
            )
            print(f"  {found.bh} by Benjamini-Hochberg; {of - found.tested} of the table's {of} are not here")
            for told in found.wrong:
                print(f"  {told}")
        page = Path("paper_table_1.html")
        page.write_text(table_1(), encoding="utf-8")
        print(f"\nTable 1 in our report's form: {page}")
        print(f"pair or triple: {pair_or_triple().steps[-1]}")
    except SluiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
