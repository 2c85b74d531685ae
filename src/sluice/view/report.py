"""The report of a run as one HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import sluice
from sluice.storage import Location
from sluice.view import account, clips, document_picks, documents, gallery, headline, judged, picks
from sluice.view.comparison import told
from sluice.view.html import Html, element, join
from sluice.view.page import document, section
from sluice.view.source import RunLike, column_types
from sluice.view.tiles import BUDGET_BYTES, Tiles


def build(run: RunLike) -> str:
    """The page, in UTF-8 text of at most about 5 MB whatever the run's size.

    The counts come from the run's summary, everything else from queries that read only the columns they show
    and return a few hundred rows. Raises StorageError where the store cannot be read; a source that is out of
    reach costs the thumbnails only.
    """
    sections = [s for s in _sections(run) if s is not None]
    links = [element("a", title, href=f"#{anchor}") for anchor, title, _ in sections]
    body = join(
        headline.headline(run),
        element("nav", *links, aria_label="sections"),
        element("main", *(section(*s) for s in sections)),
        element(
            "footer", f"Made by Sluice {sluice.__version__}. Everything on this page is in the run's files."
        ),
    )
    return document(f"{run.name}: curation report", body)


def write(path: str) -> Location:
    """(Re)build the report of the finished run at `path` (its output or run directory); returns where it lies.

    Raises UsageError where there is no finished run, StorageError where the report cannot be written.
    """
    from sluice.store.opened import Run

    run = Run.open(path)
    run.place.report.write(build(run).encode("utf-8"))
    return run.place.report


def _sections(run: RunLike) -> list[tuple[str, str, Html] | None]:
    s = run.summary
    shelves, read = document_picks.shelves(run), Tiles(run, documents.BUDGET_BYTES)
    shown = documents.section(run, read, shelves)
    tiles = Tiles(run, BUDGET_BYTES - read.used_bytes)
    texts = {rule.name: rule.text for rule in run.rules}
    repeated = picks.duplicates(run, texts, gallery.GROUPS, gallery.EACH_GROUP)
    how = {each["name"]: told(each) for each in s.get("comparisons") or ()}
    gates = headline.gates(run, [rule.name for rule in repeated])
    table = headline.yield_table(run)
    types = column_types(run)
    panels = judged.panels(run, tiles, types)
    cut = clips.section(run, types)
    return [
        ("flow", "What each step took", join(headline.waterfall(int(s["read"]), gates), table)),
        ("clips", "Clips", cut) if cut else None,
        ("rules", "Rules and their cuts", join(judged.legend(), panels)) if panels else None,
        ("documents", "Documents", shown) if shelves else None,
        ("duplicates", "Duplicates", gallery.duplicates(repeated, tiles, how)) if repeated else None,
        ("kept", "A sample of what was kept", gallery.kept(picks.kept_at_random(run, gallery.KEPT), tiles))
        if s["kept"]
        else None,
        ("failures", "Failures", account.failures(s.get("failures") or {}, picks.failures(run, each=8)))
        if s["failed"]
        else None,
        _parents(run),
        ("time", "Where the time went", account.times(s.get("steps") or (), s.get("cost") or ()))
        if s.get("steps") or s.get("cost")
        else None,
        ("spent", "What endpoints were paid", account.spending(s["spent"])) if s.get("spent") else None,
        ("lock", "The lock", account.lock(run.lock_text)),
    ]


def _parents(run: RunLike) -> tuple[str, str, Html] | None:
    """Why samples could not be taken apart, where a splitter was to do it."""
    level = next((each for each in run.summary.get("levels") or () if "childless" in each), None)
    if level is None or not any(level["reasons"].values()):
        return None
    keys = picks.parents(run, each=8)
    tables = [
        join(element("h3", fate), account.failures(reasons, keys))
        for fate, reasons in level["reasons"].items()
        if reasons
    ]
    return "parents", "What could not be split", join(*tables)
