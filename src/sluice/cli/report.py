"""`sluice report`: build the HTML page of a finished run (again)."""

from __future__ import annotations

import click

from sluice.cli.output import near, print_json, say
from sluice.cli.verb import verb


@verb("report", "sluice report demo/curated")
@click.argument("run")
def command(run: str, as_json: bool) -> None:
    """Build the HTML report of a run.

    One page that needs no network and no other file; `sluice run` writes it too.
    """
    written = write_report(run)
    if as_json:
        print_json({"report": written})
    else:
        say(near(written))


def write_report(path: str) -> str:
    """Build the report of the run at a path; where it was written."""
    from sluice.view.report import write

    return write(path).url
