"""What every command has in common: its example, `--json` and `--debug`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Function = Callable[..., Any]


def verb(name: str, *examples: str) -> Callable[[Function], click.Command]:
    """Declares a command. `examples` work, in this order, on the demo's output; `--json` becomes `as_json`."""
    shown = "\n".join(f"  {line}" for line in examples)
    title = "Example:" if len(examples) == 1 else "Examples:"

    def declare(function: Function) -> click.Command:
        made = click.command(name, epilog=f"\b\n{title}\n{shown}")(function)
        made.params += [
            click.Option(
                ["--json", "as_json"], is_flag=True, help="Print one JSON document on standard output."
            ),
            click.Option(
                ["--debug"], is_flag=True, expose_value=False, help="Show where an error comes from."
            ),
        ]
        return made

    return declare


def recipe_options(function: Function) -> Function:
    """RECIPE and the options that change it on the way, shared by `run` and `plan`."""
    for option in reversed(_RECIPE_OPTIONS):
        function = option(function)
    return function


_RECIPE_OPTIONS = (
    click.argument("recipe"),
    click.option("--source", metavar="PATH", help="Read this instead of the recipe's source."),
    click.option("--output", metavar="PATH", help="Write here instead of the recipe's write.path."),
    click.option(
        "--store", metavar="PATH", help="Keep measures here (default: sluice-store beside the output)."
    ),
    click.option(
        "--run", "run_dir", metavar="PATH", help="Keep the run here (default: _sluice in the output)."
    ),
    click.option("--workers", type=click.IntRange(min=0), help="Processes (default: one a core; 0: none)."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Change the recipe: --set write.shard_size=500MB, --set steps.0.keep.rule='…' (steps from 0).",
    ),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N samples."),
)


def loaded(
    recipe: str, settings: tuple[str, ...], source: str | None, output: str | None, limit: int | None
) -> Any:
    """The recipe that the shared options ask for."""
    from sluice.recipe.load import load

    overrides = [*settings, *([f"source.limit={limit}"] if limit else [])]
    return load(recipe, overrides, source=source, output=output)
