"""Every operator that is installed keeps what operators promise; none is listed here by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import stand_ins
from made_videos import made, scenes
from sluice.operator import Instance, Spec, registry
from sluice.operator.check import check, check_spawned, check_together, documented, libraries_declared
from sluice.sample import Item, Media, Sample

SPECS = list(registry())
MEASURES = [spec for spec in SPECS if spec.kind == "measure"]
MAPPERS = [spec for spec in SPECS if spec.kind == "mapper"]
SPLITTERS = [spec for spec in SPECS if spec.kind == "splitter"]
CHECKED = [*MEASURES, *MAPPERS, *SPLITTERS]
MODALITY_WORDS = {"image", "text", "video", "audio", "frame", "sample", "phrase"}
NAMED_AFTER_A_MODEL = {"clip_embedding"}
UNITS_IN_NAMES = {"pixels": "_px", "px": "_px", "bytes": "_bytes", "s": "_s", "seconds": "_s"}


def _encoded(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, kind, **options)
    return target.getvalue()


def _is_of_videos(spec: Spec) -> bool:
    return any(name.startswith("video") for name in (spec.name, *(need.name for need in spec.needs)))


@cache
def _made() -> tuple[Sample, ...]:
    """Pictures of several formats, sizes and contents, with captions; two pictures in one sample."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (70, 200, 3)).copy()
    flat = np.full((64, 64, 3), 128, np.uint8)
    scene = np.kron(random.integers(0, 256, (9, 12, 3), dtype=np.uint8), np.ones((40, 40, 1), np.uint8))
    see_through = np.dstack([scene, np.full(scene.shape[:2], 200, np.uint8)])
    members = [
        [_encoded(noise, "JPEG", quality=90)],
        [_encoded(ramp, "PNG")],
        [_encoded(flat, "PNG"), _encoded(scene, "WEBP")],
        [_encoded(scene, "JPEG", quality=70)],
        [_encoded(see_through, "PNG")],
        [_encoded(scene[:, :, 0], "JPEG")],
        [_encoded(scene[:1, :1], "PNG")],
    ]
    return tuple(_sample(f"made {k}", pictures) for k, pictures in enumerate(members))


@cache
def _videos() -> tuple[Sample, ...]:
    """Two short videos of still scenes with sound: one long enough for clips, one large enough for a bin."""
    found = []
    for seed, (lengths, width, height) in enumerate([([70, 60], 320, 256), ([30], 1280, 720)]):
        data = made(scenes(lengths, width, height, seed), sound_s=sum(lengths) / 25)
        video = Item("video", "video/mp4", "mp4", media=Media(size=len(data), data=data))
        text = Item("text", text=f"Still scenes, {seed}")
        found.append(Sample(id=f"v{seed}", key=f"v{seed}", items=(video, text)))
    return tuple(found)


def _sample(key: str, pictures: Sequence[bytes]) -> Sample:
    texts = (f"A picture of {key}: the quick brown fox jumps over the lazy dog, twice in {len(key)} days.",)
    images = [Item("image", media=Media(data=data)) for data in pictures]
    stated = {"width": 640, "licence": "CC0", "url": "https://a.example/b", "opt_out_date": "2025-03-31"}
    metadata = Item("metadata", name="json", text=json.dumps(stated))
    return Sample(id=key, key=key, items=(*images, *(Item("text", text=text) for text in texts), metadata))


Bound = Callable[[Spec], Instance]


@pytest.fixture(scope="session")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Bound:
    """Binds an operator with its defaults, small models in the place of large ones."""
    folder = tmp_path_factory.mktemp("models")
    return cache(lambda spec: stand_ins.bind(spec.name, folder))


def _bindable(spec: Spec) -> bool:
    return not any(field.is_required() for field in spec.settings.model_fields.values())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_says_what_it_is(spec: Spec) -> None:
    assert documented(spec) == []
    assert spec.doc.strip()[-1] in ".)`:", "a docstring ends in a whole sentence"


@pytest.mark.parametrize("spec", list(registry().features()), ids=lambda spec: f"{spec.scope}-{spec.name}")
def test_features_say_what_they_are_and_what_they_import(spec: Spec) -> None:
    assert documented(spec) == []
    assert libraries_declared(Instance(spec, {}, {})) == []


@pytest.mark.parametrize("spec", CHECKED, ids=lambda spec: spec.name)
def test_conforms(spec: Spec, bound: Bound) -> None:
    assert check(bound(spec), _videos() if _is_of_videos(spec) else _made()) == []


@pytest.mark.parametrize("spec", [s for s in CHECKED if not _is_of_videos(s)], ids=lambda spec: spec.name)
def test_conforms_on_photographs(spec: Spec, bound: Bound, data_dir: Path) -> None:
    paths = sorted(p for p in (data_dir / "photos").glob("*.jpg") if p.stat().st_size < 300_000)[:3]
    photos = [_sample(path.name, [path.read_bytes()]) for path in paths]
    assert check(bound(spec), photos) == []


@pytest.mark.parametrize("of_videos", [False, True])
def test_none_changes_another_beside_it(bound: Bound, *, of_videos: bool) -> None:
    company = [bound(spec) for spec in MEASURES if _bindable(spec) and _is_of_videos(spec) is of_videos]
    assert check_together(company, _videos() if of_videos else _made()) == []


def test_a_spawned_process_gives_the_same_values(bound: Bound) -> None:
    assert check_spawned([bound(spec) for spec in MEASURES if _bindable(spec)], _made()) == []


def test_fingerprints_differ_between_operators(bound: Bound) -> None:
    prints = [bound(spec).fingerprint for spec in MEASURES]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("spec", MEASURES, ids=lambda spec: spec.name)
def test_names_begin_with_the_modality_and_end_in_the_unit(spec: Spec) -> None:
    assert spec.name.partition("_")[0] in MODALITY_WORDS or spec.name in NAMED_AFTER_A_MODEL
    for output in spec.outputs:
        unit = output.field.unit
        ending = UNITS_IN_NAMES.get(unit, "")
        assert output.name.endswith(ending), f"{output.name} is in {unit}: let its name end in {ending}"
        if output.name.endswith("_ratio"):
            assert output.field.ge == 0


def test_deduplicators_declare_what_they_import() -> None:
    for spec in SPECS:
        if spec.kind == "deduplicator":
            assert libraries_declared(Instance(spec, {}, {})) == []
