"""`sluice sandbox`: experiments that tell which data makes a model better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sluice.cli.output import counted, near, print_json, say, table, warn
from sluice.cli.verb import verb

if TYPE_CHECKING:
    from pathlib import Path

    from sluice.sandbox.workflow.config import Workflow
    from sluice.sandbox.workflow.outlook import Ahead
    from sluice.sandbox.workflow.runner import Done

ACTIONS = ("plan", "run", "report")


@verb(
    "sandbox",
    "sluice sandbox plan examples/sandbox/pools.yaml --output demo/experiment",
    "sluice sandbox run examples/sandbox/pools.yaml --output demo/experiment",
    "sluice sandbox report examples/sandbox/pools.yaml --output demo/experiment",
)
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("workflow")
@click.option(
    "--output", metavar="PATH", help="Keep the experiment here instead of in the workflow's `output`."
)
@click.option(
    "--restart", is_flag=True, help="Begin anew, also where the workflow changed; what was done is lost."
)
@click.option("--retry-failed", is_flag=True, help="Try again what gave no result, and what follows from it.")
@click.option(
    "--mlflow", metavar="URI", help="With `run` and `report`: log it to this MLflow server or folder."
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    action: str,
    workflow: str,
    output: str | None,
    restart: bool,
    retry_failed: bool,
    mlflow: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run an experiment: which data makes this model better?

    WORKFLOW is a YAML file with the phases probe, refine, execute and evaluate, or the name of a ready experiment
    (`mini-gemini`, …). `plan` tells its jobs, what they would cost and what could be found out, and runs nothing.
    `run` runs them and reports what was found; killed or interrupted, the same command goes on where it was, and a
    workflow that changed meanwhile is refused. `report` writes what has been found so far, at any time of a run: one
    HTML page, with its tables as Parquet beside it.
    """
    from sluice.sandbox.workflow.config import load_workflow

    wanted = load_workflow(workflow)
    folder = _folder(wanted, output)
    if action == "report":
        _tell_report(_report(folder, mlflow), as_json)
        return 0
    if action == "plan":
        from sluice.sandbox.workflow.outlook import look_ahead

        _plan(wanted, folder, look_ahead(wanted, folder), as_json)
        return 0
    from sluice.sandbox.report import need_mlflow
    from sluice.sandbox.workflow.runner import run_workflow

    if mlflow:
        need_mlflow()
    say_so = (lambda text: None) if quiet else warn
    done = run_workflow(wanted, folder, restart=restart, retry_failed=retry_failed, say=say_so)
    return _finish(wanted, done, _report(folder, mlflow), as_json)


def _report(folder: Path, mlflow: str | None) -> dict[str, Any]:
    """Write the report; where its page and its tables are, and how many runs were logged to MLflow, if asked for."""
    from sluice.sandbox.report import TABLES, log, read, write

    page = write(folder)
    logged = log(read(folder), page, uri=mlflow) if mlflow else None
    return {"report": str(page), "tables": str(folder / TABLES), "mlflow_runs": logged}


def _tell_report(written: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(written)
        return
    say(f"report: {near(written['report'])}, and its tables in {near(written['tables'])}")
    if written["mlflow_runs"]:
        say(f"{counted(written['mlflow_runs'], 'run')} logged to MLflow")


def _folder(workflow: Workflow, output: str | None) -> Path:
    from pathlib import Path

    from sluice.errors import UsageError

    chosen = output or workflow.output
    if chosen is None:
        raise UsageError(
            "the workflow does not say where its results go", fix="add `output: PATH` to it or give --output"
        )
    return Path(chosen).absolute()


def _plan(workflow: Workflow, folder: Path, found: list[Ahead], as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "workflow": workflow.name,
                "output": str(folder),
                "jobs": [_document(ahead) for ahead in found],
                **{name: _sum(found, name) for name in ("seconds_left", "gpu_hours_left", "cost_left")},
            }
        )
        return
    left = sum(ahead.done < ahead.rounds for ahead in found)
    say(f"{workflow.name}: {counted(left, 'job')} of {len(found)} to do, in {near(str(folder))}", bold=True)
    head = ["phase", "job", "hook", "to do", "a run", "together", "GPU hours", "cost"]
    table(head, [_line(ahead) for ahead in found], right=range(3, len(head)))
    say()
    hours, gpus, cost = (_sum(found, name) for name in ("seconds_left", "gpu_hours_left", "cost_left"))
    unknown = [a.job.name for a in found if a.outlook.runs != 1 and a.seconds_left is None]
    if hours:
        say(f"together at least {_time(hours)}, {gpus or 0.0:,.1f} GPU hours{_price(cost)}")
    if unknown:
        names = " and of ".join(unknown)
        say(f"how long a run of {names} takes is not known before the first has ended")
    for ahead in found:
        for note in ahead.outlook.notes:
            say(f"{ahead.job.name}: {note}")


def _document(ahead: Ahead) -> dict[str, Any]:
    own = ahead.outlook
    return {
        "phase": ahead.job.phase,
        "job": ahead.job.name,
        "hook": ahead.job.hook.name,
        "rounds": ahead.rounds,
        "done": ahead.done,
        "runs": own.runs,
        "runs_left": ahead.runs_left,
        "seconds_a_run": own.seconds,
        "seconds_left": ahead.seconds_left,
        "gpu_hours_left": ahead.gpu_hours_left,
        "cost_left": ahead.cost_left,
        "notes": list(own.notes),
    }


def _line(ahead: Ahead) -> list[Any]:
    own = ahead.outlook
    if ahead.done == ahead.rounds:
        left = "done"
    elif own.runs == 1 and ahead.rounds == 1:
        left = "yes"
    else:
        left = f"{ahead.runs_left:,} of {counted(own.runs * ahead.rounds, 'run')}"
    each = "" if own.seconds is None else _time(own.seconds)
    together = _time(ahead.seconds_left) if ahead.seconds_left else ""
    gpus = f"{ahead.gpu_hours_left:,.1f}" if ahead.gpu_hours_left else ""
    return [ahead.job.phase, ahead.job.name, ahead.job.hook.name, left, each, together, gpus, ahead.cost_left]


def _sum(found: list[Ahead], name: str) -> float | None:
    """The sum of what is known; None where nothing is."""
    known = [value for ahead in found if (value := getattr(ahead, name)) is not None]
    return sum(known) if known else None


def _price(cost: float | None) -> str:
    return "" if cost is None else f", costs {cost:,.2f}"


def _time(seconds: float) -> str:
    from sluice.view import number

    return number.duration(seconds)


def _finish(workflow: Workflow, done: Done, report: dict[str, Any], as_json: bool) -> int:
    """Tell what came of it and where its report is; 1 where no run at all gave a result."""
    lost = {name: counts for name in done.results if (counts := _without(done.results[name]))[1]}
    hopeless = [name for name, (failed, of) in lost.items() if failed == of]
    if as_json:
        print_json(
            {
                "workflow": workflow.name,
                "output": str(done.output),
                "ran": done.ran,
                "found": done.found,
                "rounds": done.rounds,
                "results": {name: str(done.results.path(name)) for name in done.results},
                "without_result": {name: failed for name, (failed, _) in lost.items()},
                **report,
            }
        )
        return 1 if hopeless else 0
    before = f", {counted(len(done.found), 'job')} done before" if done.found else ""
    say(f"{workflow.name}: {counted(len(done.ran), 'job')} run{before}", bold=True)
    table(["result", "where it is"], [[name, near(str(done.results.path(name)))] for name in done.results])
    _tell_report(report, as_json)
    for name, (failed, of) in lost.items():
        if failed:
            warn(f"warning: {failed} of {of} rows of {name} have no value; `reason` says why")
    return 1 if hopeless else 0


def _without(result: Any) -> tuple[int, int]:
    """How many rows of a table say why they have no value, and how many rows it has; none of anything else."""
    columns = getattr(result, "column_names", ())
    if "reason" not in columns:
        return 0, 0
    return result.num_rows - result.column("reason").null_count, result.num_rows
