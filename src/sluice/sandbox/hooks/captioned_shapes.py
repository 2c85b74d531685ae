"""What would an experiment find where the truth is known?"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from sluice.errors import UsageError
from sluice.sandbox.proxy.planted import Planted, write_planted
from sluice.sandbox.registry import hook
from sluice.sandbox.workflow.job import Job
from sluice.storage import Location

Share = Annotated[float, Field(ge=0, le=1)]

TRAIN, HELD_OUT = "train", "held-out"


@hook(gives=("recipes", "planted"), resumes=True)
def captioned_shapes(
    job: Job,
    *,
    folder: Path,
    count: Annotated[int, Field(ge=3)] = 600,
    held_out: Annotated[int, Field(ge=2)] = 200,
    captions_shuffled: Share = 0.0,
    noisy: Share = 0.0,
    frames: Annotated[int, Field(ge=0)] = 0,
    seed: Annotated[int, Field(ge=0)] = 0,
) -> dict[str, Any]:
    """Make data whose truth is known: pictures of one coloured shape each, or with `frames` videos of a moving one.

    `count` of them go to `folder`/train, of which the shares `captions_shuffled` and `noisy` have that fault, and
    `held_out` without fault to `folder`/held-out. Gives a recipe that measures both faults, for `process`: by
    `caption_agreement` (how much of the caption is true, as the data says) and `image_noise` (in videos `video_noise`).
    What was made before with the same settings is left as it is.
    """
    train = Planted(count, captions_shuffled, noisy, frames, seed=seed)
    place = folder.absolute()
    for name, planted in (
        (TRAIN, train),
        (HELD_OUT, Planted(held_out, frames=frames, seed=seed + 1_000_000)),
    ):
        if _make(place / name, planted):
            job.say(f"{planted.count:,} {'videos' if frames else 'pictures'} in {folder / name}")
    recipe = job.folder / "recipe.yaml"
    Location(recipe).write(_recipe(place / TRAIN, frames).encode())
    return {"recipes": recipe, "planted": {"captions_shuffled": captions_shuffled, "noisy": noisy}}


def _make(place: Path, planted: Planted) -> bool:
    """Write the samples, whole or not at all; false where they are there."""
    note = place.with_name(f"{place.name}.planted")
    asked = json.dumps(asdict(planted), sort_keys=True)
    if place.exists():
        if note.exists() and note.read_text(encoding="utf-8") == asked:
            return False
        fix = "remove the folder, or name another"
        raise UsageError("something else lies here", where=str(place), fix=fix)
    writing = place.with_name(f"{place.name}.writing")
    shutil.rmtree(writing, ignore_errors=True)
    write_planted(writing, planted)
    note.write_text(asked, encoding="utf-8")
    writing.rename(place)
    return True


def _recipe(train: Path, frames: int) -> str:
    noise = (
        "{image_noise: {over: frames, fps: 8, reduce: mean, as: video_noise}}" if frames else "image_noise"
    )
    return (
        f"source: {{path: {json.dumps(str(train))}}}\n"
        "steps:\n"
        f"  - measure: [{noise}, {{sample_metadata_number: {{field: caption_agreement, as: caption_agreement}}}}]\n"
        f"write: {{path: curated, format: webdataset}}\n"
    )
