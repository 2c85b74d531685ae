"""`sluice plan`: what a run would do, and with a probe, what would come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from sluice.cli.output import counted, near, print_json, say, size_text, table, warn
from sluice.cli.verb import loaded, recipe_options, verb
from sluice.view import number


@verb(
    "plan",
    "sluice plan images --source demo/source --output demo/curated",
    "sluice plan images --source demo/source --output demo/curated --probe 100",
)
@recipe_options
@click.option(
    "--probe", type=click.IntRange(min=1), metavar="N", help="Measure about N samples and forecast."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which samples a probe takes.")
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
    probe: int | None,
    seed: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Tell what a run would do.

    Its units, passes and operators, what is known already, which models it needs. Nothing is written,
    unless --probe measures whole units of the source, chosen by --seed, into the store, where the run
    then finds them.
    """
    wanted = loaded(recipe, settings, source, output, limit)
    from sluice.operator.instance import absences
    from sluice.run.forecast import outlook
    from sluice.run.prepare import prepare

    with absences() as absent:
        prepared = prepare(wanted, output=output, run=run_dir, store=store)
        found = outlook(prepared)
    found["missing"] = [{"what": e.what, "where": e.where, "fix": e.fix} for e in absent]
    if probe is not None:
        if absent:
            raise absent[0]
        found["forecast"] = _probe(prepared, probe, workers, seed, quiet)
    if as_json:
        print_json(found)
        return
    _tell(found)
    if "forecast" in found:
        say()
        _forecast(found["forecast"])


def _probe(prepared: Any, samples: int, workers: int | None, seed: int, quiet: bool) -> dict[str, Any]:
    from sluice.run import local_engine
    from sluice.run.forecast import probe

    engine = local_engine(prepared.recipe, workers)
    try:
        return probe(prepared, samples, engine, seed=seed, quiet=quiet)
    finally:
        engine.close()


def _tell(found: Mapping[str, Any]) -> None:
    source = found["source"]
    count = counted(found["samples"], "sample") if found["samples"] is not None else "samples not counted yet"
    say(
        f"{found['recipe']}: {near(source['path'])} ({source['format']}) to {near(found['output'])}",
        bold=True,
    )
    units = f"{counted(found['units'], 'unit')}; {found['units_known']:,} known already"
    say(f"{count}, {size_text(found['size_bytes'])}, in {units}")
    for at, each in enumerate(found["passes"], 1):
        say()
        after = f" over the survivors of the first {each['after_steps']} steps" if each["after_steps"] else ""
        say(f"pass {at}: one read of the samples{after}")
        rows = [
            (o["operator"], o["cost"], ", ".join(o["gates"]), _missing(o, found["units"]))
            for o in each["operators"]
        ]
        table(["operator", "cost", "only for samples that pass", "to compute"], rows)
        for shared in each["shared"]:
            say(f"  {shared['feature']} is made once for {', '.join(shared['used_by'])}")
    say()
    say("steps: " + " → ".join(f"{s['kind']} {s['name']!r}" for s in found["steps"]))
    _models(found["models"])
    for warning in found["warnings"]:
        warn(f"warning: {warning}")
    for each in found["missing"]:
        say()
        say(f"missing: {each['what']}", bold=True)
        say(f"  {each['where']}\n  → {each['fix']}" if each["where"] else f"  → {each['fix']}")


def _models(found: Sequence[Mapping[str, Any]]) -> None:
    if not found:
        say("models: none are needed")
        return
    say()
    rows = [
        (m["name"], ", ".join(m["needed_by"]), m["licence"], near(m["path"] or "not on this machine"))
        for m in found
    ]
    table(["model", "needed by", "licence", "where it is"], rows)


def _missing(operator: Mapping[str, Any], units: int) -> str:
    missing = operator["units_to_compute"]
    return "nothing, all is known" if missing == 0 else f"{missing:,} of {counted(units, 'unit')}"


def _forecast(found: Mapping[str, Any]) -> None:
    probed = found["probed"]
    say(
        f"forecast for {found['samples']:,} samples from {probed['samples']:,} in {counted(probed['units'], 'unit')}",
        bold=True,
    )
    rows = [(fate, *_share(found[fate])) for fate in ("kept", "dropped", "duplicate", "failed")]
    table(["fate", "share", "95 % interval", "samples"], rows, right=[1, 2, 3])
    say()
    rows = [
        (
            r["name"] + (" (at least: twins within the probe only)" if r["lower_bound"] else ""),
            *_share(r["fail_it"]),
        )
        for r in found["rules"]
    ]
    table(["rule", "fail it", "95 % interval", "samples"], rows, right=[1, 2, 3])
    say()
    write = found["write_bytes"]
    hours = found["hours"]
    took = "unknown: the store knew the whole probe" if hours is None else number.duration(hours * 3600)
    say(f"time to measure the rest: {took}")
    for name, amount in found["spend"].items():
        say(f"{name} of all: {amount:,.6g}")
    say(
        f"to read {size_text(found['read_bytes'])}, to write {size_text(write['share'])} "
        f"({size_text(write['low'])} to {size_text(write['high'])})"
    )


def _share(found: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{found['share']:.1%}", f"{found['low']:.1%} to {found['high']:.1%}", f"{found['samples']:,}"
