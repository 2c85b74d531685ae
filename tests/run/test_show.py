"""What `show` says of runs, datasets, shards and samples, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_pictures import make_source, small_run

from sluice.errors import SluiceError, UsageError
from sluice.run.convert import convert
from sluice.run.show import show


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    make_source(folder / "in")
    for format in ("webdataset", "parquet", "jsonl"):
        convert(str(folder / "in"), str(folder / format), to=format, shard_samples=4, quiet=True)
    small_run(folder)
    return folder


@pytest.mark.parametrize("format", ["folder", "webdataset", "parquet", "jsonl"])
def test_a_dataset_of_any_format_is_described_alike(place: Path, format: str) -> None:
    found = show(str(place / ("in" if format == "folder" else format)), samples=10)
    assert (found["kind"], found["format"]) == ("dataset", format)
    assert found["samples_total"] == len(found["samples"]) == 10
    images = [i for i in found["items"] if i["modality"] == "image"]
    assert sum(i["in_samples"] for i in images) == 10
    by_key = {s["key"]: s for s in found["samples"]}
    items = {i["name"]: i for i in by_key["good-1"]["items"]}
    assert (items["jpg"]["width_px"], items["jpg"]["height_px"]) == (64, 48)
    assert items["txt"]["text"] == "A caption — with a dash."
    assert by_key["broken"]["items"][0]["unreadable"] == "not an image"


def test_a_shard_is_a_dataset_of_one_file(place: Path) -> None:
    found = show(str(place / "webdataset/00001.tar"), samples=1)
    assert (found["files"], found["samples_total"], len(found["samples"])) == (1, 4, 1)
    assert found["size_bytes"] == (place / "webdataset/00001.tar").stat().st_size


def test_a_run_shows_its_equation_fields_and_first_kept_samples(place: Path) -> None:
    found = show(str(place / "out"), samples=2)
    assert found["kind"] == "run"
    assert found["read"] == found["kept"] + found["dropped"] + found["duplicate"] + found["failed"] == 10
    assert {"image_width_px", "image_content_hash"} <= {f["name"] for f in found["fields"]}
    assert [s["key"] for s in found["samples"]] == ["good-0", "good-1"]
    assert show(str(place / "out/_sluice"))["kind"] == "run"


@pytest.mark.parametrize("where", ["in", "webdataset", "parquet", "out"])
def test_one_sample_by_its_key(place: Path, where: str) -> None:
    found = show(f"{place / where}#good-4")
    assert found["kind"] == "sample"
    (sample,) = found["samples"]
    assert {i["name"] for i in sample["items"]} == {"jpg", "txt", "cls"}
    with pytest.raises(UsageError, match="no sample 'good-9'"):
        show(f"{place / where}#good-9")


def test_a_path_with_a_hash_in_its_name_is_taken_literally(tmp_path: Path) -> None:
    make_source(tmp_path / "a#b")
    assert show(str(tmp_path / "a#b"))["samples_total"] == 10
    assert show(f"{tmp_path / 'a#b'}#twin")["samples"][0]["key"] == "twin"


def test_bad_real_files_are_described_not_raised(data_dir: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    wanted = ["sharp__truncated.png", "Pillow__decompression_bomb.gif", "file-type__fixture-json.webp"]
    for name in wanted:
        (source / name).write_bytes((data_dir / "bad" / name).read_bytes())
    (source / "empty.jpg").write_bytes(b"")
    found = show(str(source), samples=10)
    assert found["samples_total"] == 4
    trouble = {s["key"]: s["items"][0].get("unreadable") for s in found["samples"]}
    assert trouble["empty"] == "empty file"
    assert trouble["Pillow__decompression_bomb"] == "bomb"


def test_what_holds_nothing_readable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "gone"):
        with pytest.raises(SluiceError) as caught:
            show(str(path))
        assert caught.value.exit_code == 2


def test_a_damaged_table_shows_as_unreadable(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing else")
    found = show(str(tmp_path / "bad.parquet"))
    assert found["unreadable"] == 1
    assert found["samples"][0]["notes"]
