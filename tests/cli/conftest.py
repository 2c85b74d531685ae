"""The demo's output, made once: what the examples in every command's help work on."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from commands import sluice

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with demo/source and the finished run demo/curated, and what the run printed as run.json."""
    folder = tmp_path_factory.mktemp("cli")
    spec = importlib.util.spec_from_file_location("demo_pictures", ROOT / "examples/pictures.py")
    assert spec is not None
    assert spec.loader is not None
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    pictures.make_pictures(folder / "demo/source")
    done = sluice(
        "run", "images", "--source", "demo/source", "--output", "demo/curated", "--json", cwd=folder
    )
    assert done.code == 0, done.err
    (folder / "run.json").write_text(done.out)
    return folder


@pytest.fixture
def demo(finished_demo: Path) -> Path:
    """The folder to work in; whoever changes what is in it uses `own_demo`."""
    return finished_demo


@pytest.fixture
def own_demo(finished_demo: Path, tmp_path: Path) -> Path:
    """A copy of the demo's run to damage; its source and store stay where they are."""
    shutil.copytree(finished_demo / "demo/curated", tmp_path / "curated")
    return tmp_path


@pytest.fixture
def photos(data_dir: Path, tmp_path: Path) -> Path:
    """Six real photographs, a copy of one, and four real files that are damaged or lie about themselves."""
    source = tmp_path / "photos"
    source.mkdir()
    some = sorted(p for p in (data_dir / "photos").iterdir() if p.suffix in (".jpg", ".jpeg"))
    small = sorted(some, key=lambda p: p.stat().st_size)[:6]
    for path in small:
        shutil.copy(path, source / path.name)
    shutil.copy(small[0], source / "a-copy.jpg")
    for name in ("sharp__truncated.png", "Pillow__decompression_bomb.gif", "Pillow__truncated_jpeg.jpg"):
        shutil.copy(data_dir / "bad" / name, source / name)
    (source / "empty.png").write_bytes(b"")
    return source
