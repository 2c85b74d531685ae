"""`sluice convert`: the same samples in another format."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from sluice.cli.output import counted, print_json, say, size_text, table, warn
from sluice.cli.verb import verb

if TYPE_CHECKING:
    from sluice.run.convert import Converted

_SHOWN = 20
_FORMATS = {".parquet": "parquet", ".jsonl": "jsonl", ".tar": "webdataset"}


@verb(
    "convert",
    "sluice convert demo/source demo/tars",
    "sluice convert demo/tars demo/tables --to parquet --shard-size 2MB",
)
@click.argument("src")
@click.argument("dst")
@click.option(
    "--to", metavar="FORMAT", help="What to write (default: what DST's name ends in, else webdataset)."
)
@click.option("--from", "format", metavar="FORMAT", help="What SRC is, where its files do not tell.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="ROLE=COLUMN",
    help="Which column of a table is image, text or key: --column image=photo",
)
@click.option(
    "--read",
    "read_settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of SRC's format: --read missing_image=drop_item",
)
@click.option(
    "--write",
    "write_settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the format to write: --write parquet=false",
)
@click.option("--shard-size", default="1GB", show_default=True, metavar="SIZE", help="Bytes a shard.")
@click.option("--shard-samples", type=click.IntRange(min=1), metavar="N", help="Samples a shard.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    src: str,
    dst: str,
    to: str | None,
    format: str | None,
    columns: tuple[str, ...],
    read_settings: tuple[str, ...],
    write_settings: tuple[str, ...],
    shard_size: str,
    shard_samples: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Write the same samples in another format.

    DST becomes a folder of shards. Bytes, keys and sidecars stay as they are. Formats: webdataset, folder, parquet,
    jsonl; of documents interleaved-webdataset, interleaved-parquet, obelics, llava and data-juicer; of clips clips,
    video-shards and video-finetuning. html and warc are read only. Exit code 1 when samples could not be converted,
    with the list; clips that are not `valid`, as those that rules dropped, are left out where clips are written.
    """
    from sluice.run.convert import convert
    from sluice.run.memory import reuse_memory

    reuse_memory()
    to = to or _FORMATS.get(PurePosixPath(dst.rstrip("/")).suffix.lower(), "webdataset")
    done = convert(
        src,
        dst,
        to=to,
        format=format,
        columns=_named(columns, "--column", "image=photo") or None,
        read_settings=_values(read_settings, "--read", "missing_image=drop_item"),
        settings=_values(write_settings, "--write", "parquet=false"),
        shard_size=_size(shard_size),
        shard_samples=shard_samples,
        quiet=quiet,
    )
    if as_json:
        print_json(
            {**vars(done), "failed": done.failed, "failures": [vars(f) for f in done.failures], "to": to}
        )
    else:
        _tell(done, dst)
    return 1 if done.failed else 0


def _named(given: tuple[str, ...], option: str, example: str) -> dict[str, str]:
    from sluice.errors import UsageError

    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"{option} {text} names nothing", fix=f"write it as {option} {example}")
        found[name] = value
    return found


def _values(given: tuple[str, ...], option: str, example: str) -> dict[str, Any]:
    """Settings with their values read as YAML: numbers, `[alt, licence]`, true and false."""
    from sluice.recipe.yaml_text import read_yaml

    named = _named(given, option, example)
    return {name: read_yaml(text, f"{option} {name}={text}").data for name, text in named.items()}


def _size(text: str) -> int:
    from pydantic_core import PydanticCustomError

    from sluice.errors import UsageError
    from sluice.recipe.quantities import parse_size

    try:
        return parse_size(text)
    except PydanticCustomError as error:
        raise UsageError(
            f"--shard-size: {error.message()}", fix=(error.context or {}).get("fix", "")
        ) from None


def _tell(done: Converted, dst: str) -> None:
    left_out = f" + {done.left_out:,} not valid" if done.left_out else ""
    say(f"{done.read:,} read = {done.written:,} written{left_out} + {done.failed:,} failed", bold=True)
    say(f"{counted(done.shards, 'shard')}, {size_text(done.size_bytes)} in {dst.rstrip('/')}/")
    if done.renamed:
        say(f"{done.renamed:,} keys were taken by earlier samples and got their file's name as prefix")
    if not done.failed:
        return
    say()
    rows: list[tuple[Any, ...]] = [(f.key, f.reason, f.detail) for f in done.failures[:_SHOWN]]
    table(["not converted", "because", "details"], rows)
    if done.failed > _SHOWN:
        warn(f"{done.failed - _SHOWN:,} more failures: --json lists them")
