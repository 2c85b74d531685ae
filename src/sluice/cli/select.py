"""`sluice select`: other rules over what a run measured, without touching media."""

from __future__ import annotations

from typing import Any

import click

from sluice.cli.output import print_json, say
from sluice.cli.verb import verb
from sluice.errors import UsageError


@verb(
    "select",
    "sluice select demo/curated --keep 'image_width_px >= 400' --keep 'image_sharpness_normalised >= 40'",
    "sluice select demo/curated --dedup image_phash=2",
    "sluice select demo/curated --keep 'image_width_px >= 400' --write demo/large",
)
@click.argument("run")
@click.option("--keep", "rules", multiple=True, metavar="RULE", help="A rule; may be repeated.")
@click.option(
    "--dedup",
    "thresholds",
    multiple=True,
    metavar="COLUMN=THRESHOLD",
    help="Another threshold of a `dedup` step; may be repeated.",
)
@click.option("--write", "target", metavar="PATH", help="Export this selection.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    run: str,
    rules: tuple[str, ...],
    thresholds: tuple[str, ...],
    target: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Tell what other rules would keep.

    The rules take the place of the `keep` steps of RUN's recipe (without any, those stay); its other steps
    stay, after them, with the thresholds of `--dedup` where given. Only stored measures and pairs are looked
    at, no media.
    """
    from sluice.store.opened import Run
    from sluice.store.whatif import what_if

    if not rules and not thresholds:
        raise UsageError(
            "what should be other than in the run?", fix="give --keep RULE or --dedup COLUMN=0.9"
        )
    others = dict(_threshold(text) for text in thresholds)
    opened = Run.open(run)
    if target is not None:
        _export(opened, rules, others, target, quiet, as_json)
        return
    fates = what_if(opened, rules, others)
    yields = [vars_of(each) for each in fates.yields]
    if as_json:
        by_rule = {each["name"]: each["first_failing"] for each in yields}
        never = fates.never_compared
        print_json(
            {
                **fates.counts(),
                "by_rule": by_rule,
                "yields": yields,
                "never_compared": never,
                "comparisons": fates.comparisons,
            }
        )
        return
    from sluice.cli.account import comparisons, equation
    from sluice.cli.account import yields as print_yields

    say(equation(fates.counts()), bold=True)
    say()
    print_yields(yields)
    comparisons(fates.comparisons)
    if fates.never_compared:
        say()
        say(
            f"{fates.never_compared:,} of the kept samples were never compared for duplicates, because the run's"
        )
        say("own rules had dropped them; --write compares them.")


def _threshold(text: str) -> tuple[str, float]:
    """`image_phash=4` as the column and the number."""
    column, equals, number = text.rpartition("=")
    try:
        if equals and column:
            return column.strip(), float(number)
    except ValueError:
        pass
    raise UsageError(
        f"cannot read {text!r}", fix="write COLUMN=THRESHOLD, as in --dedup image_descriptor=0.97"
    )


def vars_of(each: Any) -> dict[str, Any]:
    """A yield as plain data."""
    from dataclasses import asdict

    return asdict(each)


def _export(
    opened: Any,
    rules: tuple[str, ...],
    thresholds: dict[str, float],
    target: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run the recipe with these rules and thresholds into another output: the store knows all measures already."""
    from sluice.cli.run import finish
    from sluice.recipe.recipe import Write
    from sluice.run import run
    from sluice.store.whatif import with_rules, with_thresholds

    recipe = with_thresholds(with_rules(opened.recipe, rules), thresholds)
    write = recipe.write.model_copy(update={"path": target}) if recipe.write else Write(path=target)
    finish(run(recipe.replace(write=write), store=opened.store.url, quiet=quiet), as_json)
