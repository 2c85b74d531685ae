"""The `sluice` command itself: finds its verbs lazily and turns every error into a message and an exit code."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

import sluice
from sluice.cli.output import print_json, warn
from sluice.errors import RuleError, SluiceError

VERBS = (
    "init",
    "plan",
    "run",
    "select",
    "why",
    "show",
    "report",
    "verify",
    "convert",
    "split",
    "caption",
    "shard",
    "preview",
    "ops",
    "models",
    "sandbox",
)
"""The commands in the order of the journey; each is `command` in the module of its name."""

INTERRUPTED = 130


class Verbs(click.Group):
    """A group whose commands are imported when they are used, and whose errors are messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the journey."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None where there is none."""
        if cmd_name not in VERBS:
            return None
        found: click.Command = importlib.import_module(f"sluice.cli.{cmd_name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest command in the error."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0].lower(), VERBS, n=1)
            hint = f"did you mean `sluice {near[0]}`?" if near else f"commands: {', '.join(VERBS)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run one command and exit with the code that tells how it went."""
        words = list(sys.argv[1:] if args is None else args)
        # Before Arrow is imported: its default allocator keeps what it frees (60 MB in a run over 20,000 pictures).
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        extra.pop("standalone_mode", None)
        call = super().main
        sys.exit(_guarded(words, lambda: call(words, prog_name or "sluice", standalone_mode=False, **extra)))


def _guarded(words: list[str], call: Callable[[], Any]) -> int:
    """The exit code of a call; what it raises is told on standard error, or as JSON where that was asked."""
    as_json = "--json" in words
    try:
        result = call()
    except SluiceError as error:
        if "--debug" in words or os.environ.get("SLUICE_DEBUG"):
            traceback.print_exc()
        _tell(error, as_json)
        return error.exit_code
    except click.ClickException as error:
        if as_json:
            _tell_json(error.format_message(), "", "see --help", error.exit_code)
        else:
            error.show(sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        if as_json:
            _tell_json("interrupted", "", "the same command does what is left", INTERRUPTED)
        else:
            warn("interrupted; the same command does what is left")
        sys.stdout.flush()
        sys.stderr.flush()
        # An interrupt that met a class being made (dataclasses run text) leaves a mark in CPython, by which it
        # would end us with the signal whatever we return: no work was under way that needs a gentler end.
        os._exit(INTERRUPTED)
    return result if isinstance(result, int) else 0


def _tell(error: SluiceError, as_json: bool) -> None:
    if not as_json:
        warn(f"error: {error}")
        return
    more = {"rule": error.rule, "position": error.position} if isinstance(error, RuleError) else {}
    _tell_json(error.what, error.where, error.fix, error.exit_code, **more)


def _tell_json(what: str, where: str, fix: str, exit_code: int, **more: Any) -> None:
    print_json({"error": what, "where": where, "fix": fix, "exit_code": exit_code, **more})


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Begin with:
  sluice run images --source demo/source --output demo/curated
Exit codes: 0 done; 1 done, but something promised does not hold; 2 the recipe or
the command is wrong; 3 something is missing on this machine; 130 interrupted.""",
)
@click.version_option(sluice.__version__, message="sluice %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from.")
def main() -> None:
    """Curate training data: measure once, decide many times, move bytes once."""
