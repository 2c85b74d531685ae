"""Which files a path means, and which format they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.errors import SourceError, UsageError
from sluice.readers import detect_format, open_reader, reader_class, readers
from sluice.readers.source import Source, expand_braces
from sluice.storage import Location


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def listed(path: Path | str) -> list[str]:
    return [f.path for f in Source.of(Location(path)).files()]


def test_globs_and_braces(tmp_path: Path) -> None:
    touch(tmp_path, *(f"raw/{k:03d}.tar" for k in range(12)), "raw/deep/x/1.tar", "raw/a[1].tar", "raw/b.txt")
    assert listed(tmp_path / "raw/*.tar") == [*(f"{k:03d}.tar" for k in range(12)), "a[1].tar"]
    assert listed(tmp_path / "raw/{008..010}.tar") == ["008.tar", "009.tar", "010.tar"]
    assert listed(tmp_path / "raw/{003,001}.tar") == ["001.tar", "003.tar"]
    assert listed(tmp_path / "raw/**/*.tar")[-1] == "deep/x/1.tar"
    assert listed(tmp_path / "raw/*/x/?.tar") == ["deep/x/1.tar"]
    assert listed(tmp_path / "raw/00[!0-8].tar") == ["009.tar"]
    assert listed(tmp_path / "r*/deep/**") == ["raw/deep/x/1.tar"]
    assert listed(tmp_path / "raw/a[1].tar") == ["a[1].tar"]  # it exists, so it is meant literally
    assert listed(tmp_path / "raw/{000..003}.t?r") == ["000.tar", "001.tar", "002.tar", "003.tar"]


def test_a_glob_and_its_folder_give_the_same_samples(data_dir: Path) -> None:
    whole = open_reader(data_dir / "wds")
    globbed = open_reader(f"{data_dir}/wds/*.tar")
    ids = [[s.id for p in r.slices() for s in r.read(p)] for r in (whole, globbed)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 118


def test_hidden_files_and_our_own_runs_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", ".b.jpg", ".git/c.jpg", "_sluice/d.jpg", "d/_sluice/e.jpg", "d/f.jpg")
    assert listed(tmp_path) == ["a.jpg", "d/f.jpg"]


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "000.tar")
    with pytest.raises(SourceError, match="no such file or folder"):
        listed(tmp_path / "none")
    with pytest.raises(SourceError, match="no such file"):
        listed(tmp_path / "{000..002}.tar")
    with pytest.raises(SourceError, match="there are no files"):
        detect_format(tmp_path / "*.jpg")
    with pytest.raises(SourceError, match="empty or too long"):
        expand_braces("{9..1}")
    assert expand_braces("{x}-{1..3}") == ["{x}-1", "{x}-2", "{x}-3"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.tar"], "webdataset"),
        (["a.tar.gz", "b.tgz", "c.tar.zst"], "webdataset"),
        (["00000.tar", "00000.parquet", "selection.parquet", "dataset.json", "report.html"], "webdataset"),
        (["00000.tar", "00000.parquet", "00000_stats.json"], "webdataset"),
        (["a.parquet"], "parquet"),
        (["a.jsonl", "b.ndjson"], "jsonl"),
        (["00000.jsonl", "media/00000/a.jpg", "media/00000/b.jpg"], "jsonl"),
        (["a.csv"], "csv"),
        (["a.tsv"], "csv"),
        (["a.JPG", "a.txt"], "folder"),
        (["x/a.mp4"], "folder"),
        (["a.jpg", "metadata.jsonl"], "folder"),
        (["a.jpg", "metadata-00000.parquet"], "folder"),
        (["notes.txt"], "folder"),
    ],
)
def test_the_format_is_told_from_the_names(tmp_path: Path, names: list[str], expected: str) -> None:
    touch(tmp_path, *names)
    assert detect_format(tmp_path) == expected
    if len(names) == 1:
        assert detect_format(tmp_path / names[0]) == expected


@pytest.mark.parametrize(
    ("names", "found", "formats"),
    [
        (["a.tar", "b.jpg"], "1 webdataset, 1 media", "webdataset or folder"),
        (["a.parquet", "b.jsonl"], "1 parquet, 1 jsonl", "jsonl or parquet"),
        (["a.parquet", "b.jpg", "c.jpg"], "2 media, 1 parquet", "folder or parquet"),
    ],
)
def test_a_mixture_is_an_error_that_says_what_was_found(
    tmp_path: Path, names: list[str], found: str, formats: str
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(SourceError) as caught:
        detect_format(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: several formats are mixed here (found: {found})\n"
        f"  → say which is meant with `format:` ({formats}), or name the files with a pattern"
    )


def test_unknown_formats_name_the_nearest() -> None:
    assert set(readers()) >= {"webdataset", "folder", "parquet", "jsonl", "csv"}
    with pytest.raises(UsageError, match="did you mean 'webdataset'"):
        reader_class("webdatset")
    with pytest.raises(UsageError, match="nothing"):
        open_reader("/", "folder", limit=0)


def test_a_table_left_among_many_pictures_does_not_make_them_a_table(tmp_path: Path) -> None:
    for k in range(21):
        (tmp_path / f"{k}.jpg").write_bytes(b"")
    (tmp_path / "notes.csv").write_text("a,b\n")
    assert detect_format(tmp_path) == "folder"
    (tmp_path / "20.jpg").unlink()
    with pytest.raises(SourceError, match="mixed"):
        detect_format(tmp_path)
