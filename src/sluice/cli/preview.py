"""`sluice preview`: many pictures of a dataset at a glance."""

from __future__ import annotations

import click

from sluice.cli.output import near, print_json, say
from sluice.cli.verb import verb


@verb(
    "preview",
    "sluice preview demo/curated --output demo/curated.png",
    "sluice preview demo/source --count 20",
)
@click.argument("path")
@click.option("--count", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Pictures.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which pictures.")
@click.option(
    "--columns", type=click.IntRange(1, 100), default=10, show_default=True, help="Pictures in a row."
)
@click.option("--labels", is_flag=True, help="Write each sample's key below its picture.")
@click.option("--output", metavar="FILE", default="preview.png", show_default=True, help="PNG or JPEG file.")
def command(path: str, count: int, seed: int, columns: int, labels: bool, output: str, as_json: bool) -> None:
    """Draw a contact sheet of a dataset's pictures.

    PATH is a dataset, a shard or a run; --seed decides which of its pictures.
    """
    from sluice.run.pick import picked_pictures
    from sluice.storage import Location
    from sluice.view.sheet import contact_sheet

    pictures = picked_pictures(path, count, seed)
    target = Location(output)
    encoding = "jpeg" if target.suffix in (".jpg", ".jpeg") else "png"
    target.write(contact_sheet(pictures, columns=columns, labels=labels, encoding=encoding))  # type: ignore[arg-type]
    shown = [name for name, _ in pictures]
    if as_json:
        print_json({"output": target.url, "pictures": shown, "seed": seed})
    else:
        say(f"{len(shown):,} pictures in {near(target.url)}")
