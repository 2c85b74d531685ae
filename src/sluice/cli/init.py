"""`sluice init`: a commented recipe to start from."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import click

from sluice.cli.output import print_json, say
from sluice.cli.verb import verb

_PLAIN = re.compile(r"[A-Za-z0-9_./~-][A-Za-z0-9_./~*@+-]*")


@verb(
    "init",
    "sluice init images --source demo/source --file demo/mine.yaml",
    "sluice init --from examples/data-juicer.yaml --source demo/source --file demo/ours.yaml",
)
@click.argument("kind", required=False)
@click.option("--source", metavar="PATH", help="Fill in this source.")
@click.option("--output", metavar="PATH", help="Fill in where the results go.")
@click.option("--file", metavar="FILE", help="The recipe to write (default: KIND.yaml).")
@click.option("--from", "theirs", metavar="FILE", help="Carry over this recipe of Data-Juicer.")
def command(
    kind: str | None,
    source: str | None,
    output: str | None,
    file: str | None,
    theirs: str | None,
    as_json: bool,
) -> None:
    """Write a commented recipe to start from.

    It is the ready recipe KIND with your source in it. Without KIND it is fitted to the source:
    `image-text-basic` where pictures have captions, else `images`. With --from it is a recipe of
    Data-Juicer with the same bounds, and says what could not be carried over.
    """
    if theirs is not None:
        _carry_over(theirs, kind, source, output, file, as_json)
        return
    from sluice.errors import UsageError
    from sluice.recipe.load import loads
    from sluice.recipe.nearest import did_you_mean
    from sluice.recipe.ready import ready_recipes

    ready = ready_recipes()
    chosen = kind or _fitted(source)
    if chosen not in ready:
        fix = did_you_mean(chosen, ready, "ready recipes")
        raise UsageError(f"there is no ready recipe {chosen!r}", fix=fix)
    text = filled(ready[chosen].read_text(encoding="utf-8"), chosen, source, output)
    target = Path(file or f"{chosen}.yaml").expanduser()
    loads(text, file=str(target))  # what we hand out loads
    _write_new(target, text)
    if as_json:
        print_json({"recipe": str(target), "kind": chosen})
    else:
        say(f"{target}: the recipe `{chosen}`; look through it, then run")
        say(f"  sluice run {target}")


def _carry_over(
    theirs: str, kind: str | None, source: str | None, output: str | None, file: str | None, as_json: bool
) -> None:
    """Write what a Data-Juicer recipe becomes here, and tell what it could not become."""
    from sluice.errors import NotFoundError, UsageError
    from sluice.recipe.load import loads
    from sluice.recipe.migration import from_data_juicer

    if kind is not None:
        raise UsageError(f"{kind!r} and --from exclude each other", fix="leave one of them out")
    path = Path(theirs).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"cannot be read: {error}", where=theirs) from error
    found = from_data_juicer(text, theirs, source=source, output=output)
    target = Path(file or f"{path.stem}-sluice.yaml").expanduser()
    loads(found.text, file=str(target))  # what we hand out loads
    _write_new(target, found.text)
    if as_json:
        told = {"carried": found.carried, "left": found.left, "differs": found.differs}
        print_json({"recipe": str(target), "kind": "data-juicer", **told})
        return
    say(f"{target}: {found.carried} operators carried over; look through it, then run")
    say(f"  sluice run {target}")
    for title, notes in (("not carried over", found.left), ("not quite the same", found.differs)):
        for note in notes:
            say(f"{title}: {note}")


def filled(text: str, kind: str, source: str | None, output: str | None) -> str:
    """A ready recipe's text with source and output filled in; its comments stay."""
    for key, value in (("source", source), ("write", output)):
        if value is not None:
            pattern = re.compile(rf"^({key}: *\{{path: *)[^,}}]+", re.MULTILINE)
            # A function's result is taken literally, whatever backslashes a path holds.
            text = pattern.sub(partial(_with_path, path=_yaml(value)), text, count=1)
    head, _, rest = text.partition("\n")
    return head.replace("Ready recipe", f"From the ready recipe `{kind}`") + "\n" + rest


def _with_path(match: re.Match[str], path: str) -> str:
    return match[1] + path


def _yaml(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _fitted(source: str | None) -> str:
    """Which ready recipe suits a source: by whether its first pictures have texts beside them."""
    if source is None:
        return "images"
    from itertools import islice

    from sluice.readers import open_reader

    reader = open_reader(source)
    first = next(iter(reader.slices()), None)
    looked = list(islice(reader.read(first), 50)) if first else []
    pairs = sum(bool(s.of("image")) and bool(s.of("text")) for s in looked)
    return "image-text-basic" if looked and 2 * pairs >= len(looked) else "images"


def _write_new(target: Path, text: str) -> None:
    """Write a file that must not exist yet."""
    from sluice.errors import StorageError, UsageError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as sink:
            sink.write(text)
    except FileExistsError:
        raise UsageError("is there already", where=str(target), fix="name another with --file") from None
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(target)) from None
