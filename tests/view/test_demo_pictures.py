"""The demo's pictures: the same bytes every time, and work for every rule."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from sluice.codec.image import decode
from sluice.errors import SampleError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    pytest.importorskip("skimage", reason="the demo's pictures come with scikit-image")
    spec = importlib.util.spec_from_file_location("pictures", EXAMPLES / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_same_seed_same_bytes(pictures: ModuleType, tmp_path: Path) -> None:
    made = [
        pictures.make_pictures(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    a, b, c = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")} for n in "abc"
    )
    assert a == b
    assert a != c
    assert made[0] == len(a)
    assert 150 <= len(a) <= 250


def test_few_files_are_broken_and_all_sources_are_listed(pictures: ModuleType, tmp_path: Path) -> None:
    pictures.make_pictures(tmp_path)
    files = [p for p in tmp_path.rglob("*.*") if p.suffix != ".txt"]
    broken = [p for p in files if not _decodes(p.read_bytes())]
    assert 0.02 < len(broken) / len(files) < 0.05, "some fail, and fewer than the recipe's max_failed"
    listed = (EXAMPLES / "PICTURES.md").read_text()
    assert all(f"`{name}`" in listed for name in pictures.CAPTIONS)


def _decodes(data: bytes) -> bool:
    try:
        decode(data)
    except SampleError:
        return False
    return True
