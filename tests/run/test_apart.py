"""What a run writes never lies where it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.errors import UsageError
from sluice.run.apart import refuse_inside
from sluice.storage import Location


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw/deep").mkdir(parents=True)
    for name in ("raw/00000.tar", "raw/a.jpg", "raw/deep/b.jpg"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("raw", "raw"),
        ("raw/", "raw/out"),
        ("raw", "link/out"),
        ("link", "raw/out"),
        (".", "out"),
        ("raw/*.tar", "raw"),
        ("raw/**/*.tar", "raw/out"),
        ("raw/00000.tar", "raw"),
    ],
)
def test_an_output_among_its_source_is_refused(raw: Path, source: str, output: str) -> None:
    with pytest.raises(UsageError, match="inside the source"):
        refuse_inside(Location(f"{raw}/{source}"), Location(f"{raw}/{output}"))


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("raw", "raw-out"),
        ("raw", "out/raw"),
        ("raw/deep", "raw"),
        ("raw/*.tar", "raw/out"),
        ("raw/*.jpg", "raw"),
        ("raw/a.jpg", "raw"),
    ],
)
def test_other_places_are_fine(raw: Path, source: str, output: str) -> None:
    refuse_inside(Location(f"{raw}/{source}"), Location(f"{raw}/{output}"))


@pytest.mark.parametrize("output", ["tree", "tree/metas", "tree/metas/v0", "tree/metas/v0/x", "tree/clips"])
def test_an_output_at_or_above_the_folders_that_are_read_is_refused(tmp_path: Path, output: str) -> None:
    (tmp_path / "tree").mkdir()
    with pytest.raises(UsageError, match="inside the source"):
        refuse_inside(
            Location(tmp_path / "tree"), Location(tmp_path / output), folders=("clips/", "metas/v0/")
        )


@pytest.mark.parametrize("output", ["tree/metas/v1", "tree/metas/v00", "tree/other", "tree-2", "tree/metas2"])
def test_an_output_beside_the_folders_that_are_read_is_fine(tmp_path: Path, output: str) -> None:
    (tmp_path / "tree").mkdir()
    refuse_inside(Location(tmp_path / "tree"), Location(tmp_path / output), folders=("clips/", "metas/v0/"))
