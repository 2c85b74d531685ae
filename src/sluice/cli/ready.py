"""What commands share that are a ready recipe with its common settings as options."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import click

from sluice.cli.verb import Function


def run_options(place: str, items: str, *, run_in: str = "") -> Callable[[Function], Function]:
    """`--store` to `--quiet`, which reach the command together, as `how`.

    `place` is the word of the argument that the store lies beside, `items` what the command goes through, `run_in`
    where the run lies (in `place`, where nothing is said).
    """
    run_in = run_in or place
    options = (
        click.option(
            "--store", metavar="PATH", help=f"Keep measures here (default: sluice-store beside {place})."
        ),
        click.option(
            "--run",
            "run_dir",
            metavar="PATH",
            help=f"Keep the run here (default: _sluice in {run_in}).",
        ),
        click.option(
            "--workers", type=click.IntRange(min=0), help="Processes (default: one a core; 0: none)."
        ),
        click.option(
            "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Change the recipe further."
        ),
        click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"Only the first N {items}."),
        click.option("--strict", is_flag=True, help="Stop at the first clip that fails."),
        click.option("--retry-failed", is_flag=True, help="Try again where an earlier run failed."),
        click.option("--update", is_flag=True, help="Let these settings take over what others wrote there."),
        click.option("--quiet", is_flag=True, help="Show no progress."),
    )

    def declare(function: Function) -> Function:
        @functools.wraps(function)
        def packed(**given: Any) -> Any:
            how = {name: given.pop(name) for name in _NAMES}
            return function(how=how, **given)

        made: Function = packed
        for option in reversed(options):
            made = option(made)
        return made

    return declare


_NAMES = ("store", "run_dir", "workers", "settings", "limit", "strict", "retry_failed", "update", "quiet")


def carry_out(
    recipe: str, chosen: Mapping[str, object], source: str, output: str, how: dict[str, Any], *, as_json: bool
) -> None:
    """Run the ready recipe with these settings, those that are None left as they are, and print its summary."""
    if how["workers"] != 0:
        from sluice.run.local import start_fork_server

        start_fork_server(("sluice.cli",))
    from sluice.cli.run import finish
    from sluice.cli.verb import loaded
    from sluice.run import run

    said = [f"{path}={json.dumps(value)}" for path, value in chosen.items() if value is not None]
    wanted = loaded(recipe, (*said, *how.pop("settings")), source, output, how.pop("limit"))
    finish(run(wanted, output=output, **how), as_json)
