"""`sluice preview`: many pictures or videos of a dataset at a glance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from sluice.cli.output import counted, near, print_json, say, warn
from sluice.cli.verb import verb
from sluice.errors import SampleError, UsageError

if TYPE_CHECKING:
    from sluice.run.pick import Choice
    from sluice.storage import Location
    from sluice.view.sheet import Look

_PICTURES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}


class _Cell(click.ParamType[tuple[int, int]]):
    """`192x108` as a pair of numbers."""

    name = "WIDTHxHEIGHT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """The width and height in pixels."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,4})[x×](\d{1,4})", str(value))
        size = (int(found[1]), int(found[2])) if found else (0, 0)
        if min(size) < 16:
            self.fail(f"{value!r} is no size: write it as 192x108, each at least 16", param, ctx)
        return size


@verb(
    "preview",
    "sluice preview demo/curated --output demo/curated.png",
    "sluice preview demo/source --count 20",
)
@click.argument("path")
@click.option(
    "--count", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Samples shown."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which samples.")
@click.option(
    "--columns",
    type=click.IntRange(1, 100),
    help="Cells in a row (default: 10; of a video as square as possible, up to 10).",
)
@click.option("--cell", type=_Cell(), default="192x108", show_default=True, help="Size of a cell in pixels.")
@click.option("--labels", is_flag=True, help="Write each sample's key below it.")
@click.option(
    "--frames",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Frames of each video on a PNG or JPEG sheet, side by side.",
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(0.1, 600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Length of a grid video.",
)
@click.option(
    "--fps", type=click.FloatRange(1, 120), default=30.0, show_default=True, help="Its frames a second."
)
@click.option(
    "--short",
    type=click.Choice(["loop", "freeze"]),
    default="loop",
    show_default=True,
    help="What becomes of videos shorter than it.",
)
@click.option(
    "--output",
    metavar="FILE",
    help="An MP4 file for a grid video, a PNG or JPEG file for a contact sheet (default: preview.mp4 where there "
    "are videos, else preview.png).",
)
def command(path: str, count: int, seed: int, output: str | None, as_json: bool, **settings: Any) -> None:
    """Draw a grid video of a dataset's videos, or a contact sheet of its pictures.

    PATH is a dataset, a shard or a run, here or in a bucket; --seed decides which of its samples. Videos play side by
    side at their own pace, each from its beginning. A contact sheet of videos has the middle frame of each, or
    several in order with their times (--frames 3 --labels).
    """
    from sluice.run.pick import choose
    from sluice.storage import Location

    choice = choose(path, count, seed)
    target = Location(output or ("preview.mp4" if choice.has_videos else "preview.png"))
    is_video = target.suffix == ".mp4"
    unshown = _grid(choice, target, path, settings) if is_video else _sheet(choice, target, settings)
    for name, why in unshown:
        warn(f"{name}: {why}")
    _report(choice, target, seed, unshown, as_json)


def _grid(choice: Choice, target: Location, path: str, settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Write a grid video; what of it is marked, and why."""
    if not choice.has_videos:
        raise UsageError(
            "there are no videos here", where=path, fix="draw its pictures: --output preview.png"
        )
    from sluice.codec.video.container import with_decoder_threads
    from sluice.codec.video.grid import GridCell, GridSettings, write_grid
    from sluice.storage.scratch import scratch

    wanted = GridSettings(
        settings["columns"],
        settings["cell"],
        settings["duration_s"],
        settings["fps"],
        settings["short"],
        settings["labels"],
    )
    cells = (GridCell(face.key, face.media, not face.is_video) for face in choice.faces())
    with with_decoder_threads(0), scratch("sluice-preview") as room:
        made = room / "grid.mp4"
        found = write_grid(cells, len(choice), made, wanted)
        target.upload(made)
    return [(each.name, _why(each.reason, each.detail)) for each in found]


def _sheet(choice: Choice, target: Location, settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Write a contact sheet; which videos of it are marked, and why."""
    from sluice.view.sheet import contact_sheet, looks

    if target.suffix not in _PICTURES:
        raise UsageError(
            f"{target.name!r} names no kind of file that previews have",
            fix="end it in .mp4 for a video, or in .png or .jpg for a sheet",
        )
    frames = settings["frames"] if choice.has_videos else 1
    columns = max(1, (settings["columns"] or 10) // frames) * frames
    unshown: dict[str, str] = {}
    shown = _noting(looks(choice.faces(), frames, max(settings["cell"])), unshown)
    kind: Any = _PICTURES[target.suffix]
    target.write(contact_sheet(shown, columns, settings["cell"], settings["labels"], encoding=kind))
    return list(unshown.items())


def _noting(found: Iterable[tuple[str, Look]], unshown: dict[str, str]) -> Iterator[tuple[str, Look]]:
    for name, look in found:
        if isinstance(look, SampleError):
            unshown[name] = _why(look.reason, look.what)
        yield name, look


def _why(reason: str, detail: str) -> str:
    return reason if detail in ("", reason) else f"{reason}: {detail}"


def _report(
    choice: Choice, target: Location, seed: int, unshown: list[tuple[str, str]], as_json: bool
) -> None:
    shown = "videos" if choice.has_videos else "pictures"
    if as_json:
        marked = [{"key": name, "reason": why} for name, why in unshown]
        print_json({"output": target.url, shown: choice.keys, "unshown": marked, "seed": seed})
        return
    marks = f", {len(unshown):,} of them marked as broken" if unshown else ""
    say(f"{counted(len(choice), shown[:-1])} in {near(target.url)}{marks}")
