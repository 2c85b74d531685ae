"""`sluice shard`: clips to a training set in tars by bin, as the ready recipe `video-shard` has it."""

from __future__ import annotations

from typing import Any

import click

from sluice.cli.ready import carry_out, run_options
from sluice.cli.verb import verb

RECIPE = "video-shard"
_FORMS = ("pickle", "safetensors", "npz")


@verb(
    "shard",
    "sluice shard --input-clip-path demo-video/clips --output-dataset-path demo-video/dataset --text-encoder none",
)
@click.option(
    "--input-clip-path", "clips", required=True, metavar="CLIPS", help="The folder of clips/ and metas/."
)
@click.option(
    "--output-dataset-path", "dataset", required=True, metavar="DST", help="Where the training set goes."
)
@click.option(
    "--annotation-version",
    default="v0",
    show_default=True,
    metavar="VERSION",
    help="Which metas/ and captions.",
)
@click.option(
    "--text-encoder", metavar="MODEL", help="The T5 that reads captions, by name or path; none leaves it out."
)
@click.option(
    "--text-embeddings",
    "forms",
    multiple=True,
    type=click.Choice(_FORMS),
    help="How its states are stored; several.",
)
@click.option("--caption-model", metavar="MODEL", help="Whose captions, where windows have several.")
@click.option("--length", type=click.Choice(["frames", "duration"]), help="Bins of frames, or of seconds.")
@click.option("--keep-low", is_flag=True, help="Keep clips below 720 px, in the bin lt_720.")
@click.option("--tar-size", metavar="SIZE", help="Clip bytes a tar (default: 500MB).")
@click.option("--tars-per-part", type=click.IntRange(min=1), metavar="N", help="Tars a part (default: 100).")
@run_options("DST", "clips")
def command(
    clips: str,
    dataset: str,
    annotation_version: str,
    text_encoder: str | None,
    forms: tuple[str, ...],
    caption_model: str | None,
    length: str | None,
    keep_low: bool,
    tar_size: str | None,
    tars_per_part: int | None,
    how: dict[str, Any],
    as_json: bool,
) -> None:
    """Write clips as a training set.

    The ready recipe `video-shard`: tars of clips, of metadata and of T5's states of each caption, in folders by
    resolution, aspect ratio and length. An interrupted run is continued by the same command.
    """
    chosen = {
        "source.settings.annotation_version": annotation_version,
        "write.settings.annotation_version": annotation_version,
        "write.settings.text_encoder": text_encoder,
        "write.settings.text_embeddings": list(forms) or None,
        "write.settings.caption_model": caption_model,
        "write.settings.part_tars": tars_per_part,
        "write.shard_size": tar_size,
        "steps.1.measure.0.video_bin.length": length,
        "steps.1.measure.0.video_bin.keep_low": keep_low or None,
    }
    carry_out(RECIPE, chosen, clips, dataset, how, as_json=as_json)
