"""`sluice run`: everything, from a recipe to shards and a report."""

from __future__ import annotations

import shlex
from typing import Any

import click

from sluice.cli.output import near, print_json, say, warn
from sluice.cli.verb import loaded, recipe_options, verb


@verb(
    "run",
    "sluice run images --source demo/source --output demo/curated",
    "sluice run images --source demo/source --output demo/shards --set write.shard_size=2MB",
)
@recipe_options
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", help="Where workers run.")
@click.option("--strict", is_flag=True, help="Stop at the first sample that fails.")
@click.option("--update", is_flag=True, help="Let this recipe take over an output that another one made.")
@click.option("--retry-failed", is_flag=True, help="Measure samples again whose operator hung or died.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    recipe: str,
    source: str | None,
    output: str | None,
    store: str | None,
    run_dir: str | None,
    workers: int | None,
    settings: tuple[str, ...],
    limit: int | None,
    engine: str,
    strict: bool,
    update: bool,
    retry_failed: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure, select, write and report.

    RECIPE is a file, a URL, or the name of a ready recipe (`images`, `text`, …). An interrupted run is
    continued by the same command; what is known already is not measured again.
    """
    if engine == "ray":
        _refuse_ray()
    if workers != 0:
        from sluice.run.local import start_fork_server

        start_fork_server(("sluice.cli",))
    wanted = loaded(recipe, settings, source, output, limit)
    from sluice.run import run

    summary = run(
        wanted,
        output=output,
        run_dir=run_dir,
        store=store,
        workers=workers,
        strict=strict,
        update=update,
        retry_failed=retry_failed,
        quiet=quiet,
    )
    finish(summary, as_json)


def finish(summary: dict[str, Any], as_json: bool) -> None:
    """Write the report of a run that is done, and print its summary."""
    summary["report"] = _report(summary)
    if as_json:
        print_json(summary)
    else:
        tell(summary)


def _refuse_ray() -> None:
    from sluice.errors import MissingError

    raise MissingError(
        "the cluster engine (extra `cluster`) is not part of this version: runs are on this machine",
        fix="leave --engine out, or give --engine local",
    )


def _report(summary: dict[str, Any]) -> str | None:
    """Write the report; a run is no less done where that fails, but it is said."""
    from sluice.cli.report import write_report
    from sluice.errors import SluiceError

    try:
        return write_report(summary["run"])
    except SluiceError as error:
        warn(f"the report could not be written: {error}")
        return None


def tell(summary: dict[str, Any]) -> None:
    """The summary for people: the equation, what each rule did, failures, where things are, what to do next."""
    from sluice.cli.account import comparisons, equation, failures, no_values, places, yields
    from sluice.store.rundir import RUN_FOLDER

    say(equation(summary), bold=True)
    for level in summary.get("levels", ()):
        say(f"{level.get('name', 'level')}: {equation(level)}")
    for level in summary.get("levels", ()):
        for fate, reasons in level.get("reasons", {}).items():
            failures(reasons, f"parents {fate} because")
    if summary["yields"]:
        say()
        yields(summary["yields"])
    comparisons(summary.get("comparisons", ()))
    failures(summary["failures"])
    no_values(summary.get("declined", ()))
    for warning in summary.get("warnings", ()):
        warn(f"warning: {warning}")
    say()
    places(summary)
    # A run kept elsewhere than in its output is found by its own path.
    beside = summary["run"] == f"{summary['output']}/{RUN_FOLDER}"
    output = shlex.quote(near(summary["output"] if beside else summary["run"]))
    say()
    say("Next:")
    for line, meaning in (
        (f"sluice why {output} KEY", "one sample's fate, with every value"),
        (f"sluice select {output} --keep 'RULE'", "what other rules would keep"),
        (f"sluice verify {output}", "that the output is whole"),
    ):
        say(f"  {line:<{len(output) + 30}}{meaning}")
