"""`sluice preview` of videos: grids and sheets of folders, tars and buckets."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from commands import sluice
from PIL import Image

from made_videos import made, number_of, numbered
from sluice.codec.video import decode
from sluice.run.pick import choose
from sluice.sample import Media
from sluice.storage import Location, local

pytest_plugins = ["servers"]


def lumas(path: Path) -> list[np.ndarray]:
    return [frame.luma for frame in decode(Media(str(path)))]


@pytest.fixture(scope="module")
def clips() -> dict[str, bytes]:
    """Seven short videos; which one it is tells the number of its first picture."""
    return {f"clip {k} ü.mp4": made(numbered(30, 192, 108, first=100 * k), fps=30) for k in range(7)}


@pytest.fixture
def folder(clips: dict[str, bytes], tmp_path: Path) -> Path:
    """The videos in a folder with one that is cut off and one that is none."""
    source = tmp_path / "videos"
    source.mkdir()
    for name, data in clips.items():
        (source / name).write_bytes(data)
    (source / "cut.mp4").write_bytes(next(iter(clips.values()))[:2000])
    (source / "words.mkv").write_bytes(b"no video at all")
    return source


def first_numbers(path: Path, columns: int, cells: int) -> list[int]:
    frame = lumas(path)[0]
    return [
        number_of(frame[k // columns * 108 :, k % columns * 192 : k % columns * 192 + 192][:108])
        for k in range(cells)
    ]


def test_a_grid_of_a_folder(folder: Path) -> None:
    here = folder.parent
    found = sluice("preview", "videos", "--duration", "0.5", "--json", cwd=here)
    assert found.code == 0, found.err
    document = found.document
    assert document["output"] == str(here / "preview.mp4")
    assert document["videos"] == [*(f"clip {k} ü" for k in range(7)), "cut", "words"]
    assert [each["key"] for each in document["unshown"]] == ["cut", "words"]
    assert "cut: truncated" in found.err
    assert "words: not a video" in found.err
    assert first_numbers(here / "preview.mp4", 3, 7) == [100 * k for k in range(7)]
    again = sluice("preview", "videos", "--duration", "0.5", "--output", "b.mp4", cwd=here)
    assert again.out == "9 videos in b.mp4, 2 of them marked as broken\n"
    assert (here / "preview.mp4").read_bytes() == (here / "b.mp4").read_bytes()


def test_a_seed_chooses_and_only_what_is_chosen_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    whole = local.LocalFiles.open

    def noting(self: local.LocalFiles, key: str) -> object:
        opened.append(Path(key).name)
        return whole(self, key)

    monkeypatch.setattr(local.LocalFiles, "open", noting)
    choice = choose(str(folder), 2, seed=3)
    assert not opened
    faces = list(choice.faces())
    for face in faces:
        assert face.media is not None
        list(decode(face.media))
    assert {name.rpartition(".")[0] for name in opened} == {face.key for face in faces} == set(choice.keys)
    others = {tuple(choose(str(folder), 2, seed=k).keys) for k in range(6)}
    assert len(others) > 1
    assert choose(str(folder), 2, seed=3).keys == choice.keys


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tars_plain_and_compressed(clips: dict[str, bytes], tmp_path: Path, mode: str) -> None:
    name = "shard.tar.gz" if "gz" in mode else "shard.tar"
    with tarfile.open(tmp_path / name, mode) as tar:  # type: ignore[call-overload]
        for k, data in enumerate(clips.values()):
            member = tarfile.TarInfo(f"{k}.mp4")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    found = sluice("preview", name, "--count", "4", "--duration", "0.2", "--json", cwd=tmp_path)
    assert found.code == 0, found.err
    chosen = [int(key) for key in found.document["videos"]]
    assert first_numbers(tmp_path / "preview.mp4", 2, 4) == [100 * k for k in chosen]


def test_bytes_of_compressed_tars_are_not_held(clips: dict[str, bytes], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar.gz", "w:gz") as tar:
        for k, data in enumerate(clips.values()):
            member = tarfile.TarInfo(f"{k}.mp4")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    choice = choose(str(tmp_path / "shard.tar.gz"), 5)
    assert all(each.face.media is None for each in choice._chosen)
    assert [face.key for face in choice.faces()] == choice.keys
    assert all(face.media is not None and face.media.data for face in choice.faces())


def test_a_bucket_is_previewed_and_written_to(clips: dict[str, bytes], s3: str, tmp_path: Path) -> None:
    for name, data in clips.items():
        Location(f"{s3}/raw/{name}").write(data)
    output = f"{s3}/looks/grid.mp4"
    found = sluice("preview", f"{s3}/raw", "--count", "4", "--duration", "0.2", "--output", output, "--json",
                   cwd=tmp_path)  # fmt: skip
    assert found.code == 0, found.err
    Location(output).download(tmp_path / "grid.mp4")
    chosen = [int(key.split()[1]) for key in found.document["videos"]]
    assert first_numbers(tmp_path / "grid.mp4", 2, 4) == [100 * k for k in chosen]
    assert not found.err


def test_a_sheet_has_several_frames_of_each_with_their_times(folder: Path) -> None:
    here = folder.parent
    found = sluice("preview", "videos", "--output", "s.png", "--frames", "3", "--columns", "7", cwd=here)
    assert found.code == 0, found.err
    assert found.err.count("cut: truncated") == 1
    sheet = np.asarray(Image.open(here / "s.png").convert("L"))
    assert sheet.shape == (5 * 112 + 4, 6 * 196 + 4)
    row = [number_of(sheet[4:112, 4 + 196 * k : 4 + 196 * k + 192]) for k in range(3)]
    assert row == [5, 15, 25]


def test_mixed_sources_and_what_cannot_be_drawn(folder: Path) -> None:
    here = folder.parent
    Image.new("RGB", (192, 108), (255, 255, 255)).save(folder / "picture.png")
    found = sluice("preview", "videos", "--output", "all.mp4", "--duration", "0.1", "--labels", cwd=here)
    assert found.code == 0, found.err
    assert lumas(here / "all.mp4")[0].shape == (3 * 126, 4 * 192)
    sheet = sluice("preview", "videos", "--output", "all.jpg", cwd=here)
    assert sheet.code == 0, sheet.err
    odd = sluice("preview", "videos", "--output", "x.gif", cwd=here)
    assert (odd.code, "end it in .mp4" in odd.err) == (2, True)
    only = here / "pictures"
    only.mkdir()
    (folder / "picture.png").rename(only / "picture.png")
    none = sluice("preview", "pictures", "--output", "x.mp4", cwd=here)
    assert (none.code, "no videos here" in none.err) == (2, True)
    assert sluice("preview", "pictures", cwd=here).out == "1 picture in preview.png\n"
