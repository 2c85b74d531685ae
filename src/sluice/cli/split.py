"""`sluice split`: videos to clips, as the ready recipe `video-split` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from sluice.cli.ready import carry_out, run_options
from sluice.cli.verb import verb

RECIPE = "video-split"
_SHOTS = "steps.0.split.video_split_shots"
_MODES = ("transcode", "smart", "copy")


@verb("split", "sluice split demo-video/videos demo-video/clips --max-length 60")
@click.argument("source", metavar="SRC")
@click.argument("output", metavar="DST")
@click.option(
    "--by",
    type=click.Choice(["shots", "stride"]),
    default="shots",
    show_default=True,
    help="One clip a shot, or pieces of equal length.",
)
@click.option(
    "--detector",
    type=click.Choice(["content", "transnetv2"]),
    help="What finds shots: differences of frames (default), or a network.",
)
@click.option("--weights", metavar="MODEL", help="Path or name of TransNetV2's weights.")
@click.option("--length", type=float, metavar="S", help="Seconds of a piece, with --by stride (default: 10).")
@click.option("--min-length", type=float, metavar="S", help="Leave shorter clips out (default: 2).")
@click.option("--min-frames", type=int, metavar="N", help="Leave clips of fewer frames out (default: 48).")
@click.option("--max-length", type=float, metavar="S", help="Cut longer shots (default: 60).")
@click.option(
    "--trim", type=float, metavar="S", help="Leave so much out on both sides of a cut (default: 0.5)."
)
@click.option("--mode", type=click.Choice(_MODES), help="How clips are written (default: transcode).")
@click.option("--crf", type=float, metavar="Q", help="Constant quality of the encoder (default: 20).")
@click.option("--preset", metavar="NAME", help="Preset of the encoder (default: veryfast).")
@click.option(
    "--keep",
    "rules",
    multiple=True,
    metavar="RULE",
    help="One more rule: drop clips that fail it; may be repeated.",
)
@click.option("--keep-dropped", is_flag=True, help="Write those that rules drop too, to filtered_clips/.")
@click.option("--audio", type=click.Choice(["copy", "aac", "drop"]), help="What becomes of the sound.")
@run_options("DST", "videos")
def command(
    source: str,
    output: str,
    by: str,
    detector: str | None,
    weights: str | None,
    length: float | None,
    min_length: float | None,
    min_frames: int | None,
    max_length: float | None,
    trim: float | None,
    mode: str | None,
    crf: float | None,
    preset: str | None,
    audio: str | None,
    rules: tuple[str, ...],
    keep_dropped: bool,
    how: dict[str, Any],
    as_json: bool,
) -> None:
    """Cut videos into clips.

    The ready recipe `video-split`: sources are decoded once to find cuts, clips are written with their metadata. An
    interrupted run is continued by the same command.
    """
    of_shots = {
        "detector": detector,
        "weights": weights,
        "min_length_s": min_length,
        "min_frames": min_frames,
        "max_length_s": max_length,
        "trim_s": trim,
    }
    of_strides = {"length_s": length, "min_length_s": min_length}
    _refuse_others(by, of_shots if by == "stride" else of_strides, of_strides if by == "stride" else of_shots)
    chosen: dict[str, object] = _rules(rules) if rules else {}
    if by == "stride":
        given = {name: value for name, value in of_strides.items() if value is not None}
        chosen["steps.0.split"] = {"video_split_stride": given}
    else:
        chosen |= {f"{_SHOTS}.{name}": value for name, value in of_shots.items()}
    writing = {"mode": mode, "crf": crf, "preset": preset, "audio": audio}
    chosen |= {f"write.settings.{name}": value for name, value in writing.items()}
    chosen["write.keep_dropped"] = keep_dropped or None
    carry_out(RECIPE, chosen, source, output, how, as_json=as_json)


def _rules(rules: Sequence[str]) -> dict[str, object]:
    """Steps after those of the ready recipe."""
    from sluice.recipe.load import load

    count = len(load(RECIPE).steps)
    return {f"steps.{number}": {"keep": {"rule": rule}} for number, rule in enumerate(rules, count)}


def _refuse_others(by: str, theirs: Mapping[str, object], ours: Mapping[str, object]) -> None:
    """Refuse options that mean nothing for this way of splitting."""
    wrong = [name for name, value in theirs.items() if value is not None and name not in ours]
    if wrong:
        option = "--" + wrong[0].removesuffix("_s").replace("_", "-")
        raise click.UsageError(f"{option} means nothing with --by {by}")
