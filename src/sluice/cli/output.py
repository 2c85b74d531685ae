"""What commands print: results on standard output, everything else on standard error, and no byte of it trusted."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from sluice.view import number

PIPE_CLOSED = 141
"""Exit code where the reader of our output went away: 128 + SIGPIPE, as for any program in a pipe."""

PIPED_WIDTH = 160
"""Columns of a table where there is no terminal to ask; wide enough that rules stay on one line."""


def print_json(document: Any) -> None:
    """Print one JSON document: strict JSON (no NaN), UTF-8, whatever the locale."""
    text = json.dumps(_jsonable(document), ensure_ascii=False, indent=1, allow_nan=False)
    # Lone surrogates, of file names in broken encodings, become \\udc80, which is how JSON writes them.
    _write(text.encode("utf-8", "backslashreplace") + b"\n")


def say(text: str = "", **style: Any) -> None:
    """Print a line, or several, for people; control characters in it are shown, not obeyed."""
    line = click.style(visible(text), **style) if style and sys.stdout.isatty() else visible(text)
    _write(line.encode(sys.stdout.encoding or "utf-8", "backslashreplace") + b"\n")


def warn(text: str) -> None:
    """Print a line on standard error."""
    print(visible(text), file=sys.stderr, flush=True)  # noqa: T201


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[int] = ()) -> None:
    """Print rows below their headings; columns numbered in `right` are aligned to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for at, title in enumerate(head):
        drawn.add_column(title, justify="right" if at in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(visible(cell_text(value), keep="")) for value in row))
    tty = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if tty else PIPED_WIDTH)
    with console.capture() as captured:
        console.print(drawn)
    lines = (line.rstrip() for line in captured.get().splitlines())
    _write(("\n".join(lines) + "\n").encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def cell_text(value: Any) -> str:
    """A value as people read it: thousands apart, four significant digits, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number.exact(value)
    return str(value)


def visible(text: str, keep: str = "\n") -> str:
    """The text with control and other unprintable characters written out (`\\x1b`), `keep` excepted."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def size_text(size_bytes: float | None) -> str:
    """Bytes with their unit, `unknown` for None."""
    return "unknown" if size_bytes is None else number.size(size_bytes)


def counted(count: int, thing: str) -> str:
    """`1 shard`, `1,024 shards`."""
    return f"{count:,} {thing}{'s' * (count != 1)}"


def near(path: str) -> str:
    """A path as it is typed from here: relative where it lies below the working folder."""
    here = str(Path.cwd()).rstrip("/") + "/"
    return path.removeprefix(here)


def _write(data: bytes) -> None:
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Whoever read had enough. What Python still holds goes nowhere, so that its exit stays quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(PIPE_CLOSED) from None


def _jsonable(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return _jsonable(value.tolist())
    return str(value)
