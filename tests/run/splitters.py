"""Splitters for runs: well-behaved ones of the kinds to come, and ones that misbehave on one sample."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from sluice.operator import Field, measure, splitter
from sluice.sample import Sample

BAIT = "take me down"
HANG = "keep me waiting"
POISON = "poison"


@splitter(version=1)
def sample_pairs(sample: Sample) -> Iterator[Sample]:
    """Each image with the text after it; views only, no byte is read."""
    for (at, image), (_, text) in zip(sample.of("image"), sample.of("text"), strict=True):
        yield replace(sample, id=f"{sample.id}:{at}", items=(image, text))


@splitter(version=1)
def text_deadly_lines(sample: Sample) -> Iterator[Sample]:
    """One sample a line; takes its process down, or hangs, or raises, where a line asks for it."""
    for line in (sample.items[0].text or "").splitlines():
        if line == BAIT:
            os._exit(9)
        if line == HANG:
            time.sleep(600)
        if line == "raise":
            raise ValueError("asked for")
        yield replace(sample, items=(replace(sample.items[0], text=line),))


@splitter(version=1)
def text_mended_lines(sample: Sample, *, marker: str) -> Iterator[Sample]:
    """One sample a line; takes its process down at the bait until there is a file `marker`."""
    for line in (sample.items[0].text or "").splitlines():
        if line == BAIT and not Path(marker).exists():
            os._exit(9)
        yield replace(sample, items=(replace(sample.items[0], text=line),))


@splitter(version=1)
def text_unsteady_lines(sample: Sample, *, marker: str) -> Iterator[Sample]:
    """One sample a line; once there is a file `marker`, one more."""
    lines = (sample.items[0].text or "").splitlines()
    for line in [*lines, "more"] if Path(marker).exists() else lines:
        yield replace(sample, items=(replace(sample.items[0], text=line),))


@splitter(version=1)
def text_twin_ids(sample: Sample) -> Iterator[Sample]:
    """Two children under one id: no splitter may do that."""
    yield replace(sample, id="same")
    yield replace(sample, id="same")


@measure(version=1, cost="model")
def text_dear_length(text: list[str]) -> list[Annotated[int, Field(unit="characters")]]:
    """The length of a text, from an operator that is as dear as a model."""
    return [len(each) for each in text]


@measure(version=1, cost="header")
def text_deadly_length(text: list[str]) -> list[Annotated[int, Field(unit="characters")]]:
    """The length of a text; takes its process down where poison is among them."""
    if POISON in text:
        os._exit(9)
    return [len(each) for each in text]
