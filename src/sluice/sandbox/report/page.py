"""The page itself: what was found in one sentence, and then everything that stands behind it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import sluice
from sluice.sandbox.report import cost, curves, data, heat, lattice, marks, ranking, sureness
from sluice.sandbox.report.found import Found, read
from sluice.sandbox.report.tables import tables
from sluice.sandbox.statistics import Comparison
from sluice.storage import Location
from sluice.view import account, number
from sluice.view.html import Html, element, isolated, join
from sluice.view.page import document, section

PAGE = "report.html"
TABLES = "tables"
"""The folder of the report's tables, beside its page."""
_Part = tuple[str, str, Html | None]


def write(output: Path) -> Path:
    """(Re)build the report of an experiment: `report.html`, and `tables/*.parquet` beside it; returns the page.

    Works at any time of a run, with what is there. `UsageError` where no job has finished.
    """
    found = read(output)
    made = {output / TABLES / f"{name}.parquet": table for name, table in tables(found).items()}
    (output / TABLES).mkdir(exist_ok=True)
    for place, table in made.items():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        Location(place).write(sink.getvalue().to_pybytes())
    for before in set((output / TABLES).glob("*.parquet")) - set(made):
        before.unlink()  # of an experiment that was begun anew
    page = output / PAGE
    Location(page).write(build(found).encode("utf-8"))
    return page


def build(found: Found) -> str:
    """The page, in UTF-8 text; parts of which nothing is known are left out."""
    shown = [(anchor, title, body) for anchor, title, body in _parts(found) if body is not None]
    links = [element("a", title, href=f"#{anchor}") for anchor, title, _ in shown]
    body = join(
        _headline(found),
        element("nav", *links, aria_label="sections"),
        element("main", *(section(*part) for part in shown)),
        element(
            "footer", f"Made by Sluice {sluice.__version__}. Everything here is in {TABLES}/ as Parquet."
        ),
    )
    return document(f"{found.name}: experiment", body, style())


def style() -> str:
    """What experiments need besides the style sheet of all reports."""
    return (
        resources.files("sluice.sandbox.report").joinpath("assets/experiment.css").read_text(encoding="utf-8")
    )


def _parts(found: Found) -> list[_Part]:
    return [
        ("recipe", "The recommended recipe", _recommended(found)),
        ("operators", "Operators", ranking.section(found)),
        ("lattice", "Combinations", lattice.section(found)),
        ("growth", "Repeat against extend", curves.section(found)),
        ("others", "Other arms", ranking.others(found)),
        ("noise", "Noise floor and power", sureness.section(found)),
        ("data", "The data", data.section(found)),
        ("measures", "How measures correlate", heat.measures(found)),
        ("metrics", "How metrics correlate", heat.metrics(found)),
        ("cost", "Cost", cost.section(found)),
        ("all", "All comparisons", _everything(found)),
    ]


def _headline(found: Found) -> Html:
    counts = {
        v: sum(c.verdict == v for c in found.comparisons if c.metric == found.metric) for v in marks.CLASSES
    }
    cards = [
        element(
            "div",
            element("dt", verdict),
            element("dd", number.count(n), element("small", f"of {sum(counts.values())} arms")),
            cls=f"card {marks.CLASSES[verdict]}",
        )
        for verdict, n in counts.items()
    ]
    return element(
        "header",
        element("p", "Experiment", cls="kicker"),
        element("h1", isolated(found.name)),
        element("p", _lead(found), cls="lead"),
        element("dl", *cards, cls="cards") if found.comparisons else None,
        cls="top",
    )


def _lead(found: Found) -> Html:
    if not found.comparisons:
        return join("Nothing has been compared yet.")
    best = [c for c in found.comparisons if c.metric == found.metric and c.verdict == "better"]
    if not best:
        return join("No arm is better than the control in ", isolated(found.metric), ".")
    first = max(best, key=lambda c: c.gain or 0.0)
    span = first.ends
    between = f" ({marks.signed(span[0])} to {marks.signed(span[1])})" if span else ""
    arm = element("strong", isolated(first.arm), cls="ink-kept")
    return join(
        arm,
        " is better by most in ",
        isolated(found.metric),
        f": {marks.signed(first.gain or 0.0)}{between}.",
    )


def _recommended(found: Found) -> Html | None:
    told = found.recommendation
    if not told:
        return None
    facts: list[tuple[str, object]] = []
    if told["arm"] is not None:
        between = (
            f" ({marks.signed(told['low'])} to {marks.signed(told['high'])})"
            if told["low"] is not None
            else ""
        )
        change = f", {100 * told['change']:+.2f} %" if told["change"] is not None else ""
        facts.append(("take", isolated(told["arm"])))
        facts.append((f"gain in {told['metric']}", f"{marks.signed(told['gain'])}{between}{change}"))
    facts += [("", isolated(step)) for step in told["steps"]]
    unknown = told["not_distinguishable"]
    if unknown:
        facts.append(("not distinguishable", isolated(", ".join(unknown))))
    rows = [element("div", element("dt", name), element("dd", value)) for name, value in facts]
    recipe = element("pre", found.recipe, tabindex=0) if found.recipe else None
    lock = account.lock(found.lock) if found.lock else None
    note = marks.note("The interval holds for all arms at once: having picked the best does not flatter it.")
    return join(element("dl", *rows, cls="chosen"), note, recipe, lock)


def _everything(found: Found) -> Html | None:
    """Every arm in every metric, and the seeds that were left out of each."""
    if not found.comparisons:
        return None
    rows = [
        (isolated(c.arm), isolated(c.metric), marks.cell(c), c.n, _p(c.p), _p(c.p_adjusted), _left_out(c))
        for c in found.comparisons
    ]
    head = ["arm", "metric", "gain", "pairs", "p", "corrected", "seeds left out"]
    shown = marks.table(head, rows, right=(3, 4, 5))
    return element("details", element("summary", f"Show all {number.count(len(rows))}"), shown)


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _left_out(of: Comparison) -> Html:
    return join(*(element("div", isolated(f"{u.seed}: {u.reason}")) for u in of.unpaired))
