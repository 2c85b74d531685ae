"""Measures of real photographs stay what they are, in any batch and from any kind of view."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_images import GOLDEN, PHOTOS, plain, program, samples, values

from sluice.sample import Media, Sample

RELATIVE, ABSOLUTE = 0.01, 1e-3  # room for another build of a decoder; a changed definition moves values more
HASH_BITS = {"image_phash": 2, "image_dhash": 2, "image_hash256": 8}


def test_golden_values(data_dir: Path) -> None:
    expected: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for photo, measured in values(data_dir / "photos").items():
        assert measured.keys() == expected[photo].keys()
        for name, value in measured.items():
            golden = expected[photo][name]
            if name in HASH_BITS and golden is not None:
                assert (_bits(value) ^ _bits(golden)).bit_count() <= HASH_BITS[name], (photo, name)
            elif isinstance(golden, list | float):
                assert value == pytest.approx(golden, rel=RELATIVE, abs=ABSOLUTE), (photo, name)
            else:
                assert value == golden, (photo, name)


def _bits(value: str | int) -> int:
    return int(value, 16) if isinstance(value, str) else value


def test_a_batch_of_one_is_a_batch_of_many(data_dir: Path) -> None:
    every = samples(data_dir / "photos")
    run = program()
    together = run(every)
    for k in reversed(range(len(every))):
        alone = run([every[k]])
        assert alone.notes[0] == together.notes[k]
        assert alone.hashes[0] == together.hashes[k]
        for name, column in alone.columns.items():
            assert _same(column[0], together.columns[name][k]), (PHOTOS[k], name)


def test_bytes_in_hand_and_ranges_measure_alike(data_dir: Path, tmp_path: Path) -> None:
    every = samples(data_dir / "photos")[:4]
    tar = tmp_path / "packed"
    tar.write_bytes(b"\0" * 512 + every[0].items[0].media.read() + b"\0" * 512)
    size = every[0].items[0].media.size
    ranged = _with(every[0], Media(uri=str(tar), offset=512, size=size))
    in_hand = [_with(sample, Media(data=sample.items[0].media.read())) for sample in every]
    run = program()
    first, second, third = run(every), run(in_hand), run([ranged])
    for name, column in first.columns.items():
        assert all(_same(a, b) for a, b in zip(column, second.columns[name], strict=True)), name
        assert _same(column[0], third.columns[name][0]), name


def _with(sample: Sample, media: Media) -> Sample:
    return replace(sample, items=(replace(sample.items[0], media=media),))


def _same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y) if isinstance(x, np.ndarray) else plain(x) == plain(y)
        for x, y in zip(a, b, strict=True)
    )
