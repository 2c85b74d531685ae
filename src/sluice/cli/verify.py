"""`sluice verify`: is what a run wrote whole?"""

from __future__ import annotations

import click

from sluice.cli.output import counted, print_json, say, size_text
from sluice.cli.verb import verb


@verb("verify", "sluice verify demo/curated")
@click.argument("run")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(run: str, quiet: bool, as_json: bool) -> None:
    """Check that an output is whole.

    Counts, digests, tars against tables, no key twice. Exit code 1 with the first violation.
    """
    from sluice.run.verify import verify
    from sluice.store.opened import Run

    counts = verify(Run.open(run).place, quiet=quiet)
    if as_json:
        print_json({"ok": True, **counts})
        return
    from sluice.cli.account import equation

    say(equation(counts))
    found = f"{counted(counts['shards'], 'shard')}, {counted(counts['files'], 'file')}"
    say(f"{found}, {size_text(counts['size_bytes'])}: all as written")
