"""Clips in a tree: cut out of their sources, each with its metadata, over all of them a table and a summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest
import xxhash
from PIL import Image

from sluice.codec.video.windows import frame_windows
from sluice.sample import Item, Media, Sample
from sluice.storage import Location
from sluice.writers import open_writer


def _clip(
    path: Path, number: int, start_s: float | None, end_s: float | None, *more: Item, **view: Any
) -> Sample:
    media = Media(str(path), 0, path.stat().st_size, start_s=start_s, end_s=end_s, **view)
    fields = {"source_video": path.name, "clip_index": number, "clip_start_s": start_s, "clip_end_s": end_s}
    name = f"{number:032x}"
    return Sample(
        name, f"{path.stem}-{number}", (Item("video", "video/mp4", "mp4", media=media), *more), fields
    )


def test_clips_stand_beside_their_metadata(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "videos" / "data-juicer__video1.mp4"
    caption = Item(
        "text",
        "text/plain",
        "caption_000.txt",
        text="a room",
        fields={"start_frame": 0, "end_frame": 24, "model": "qwen", "kind": "caption", "prompt": "ab"},
    )
    samples = [_clip(source, 0, 0.0, 1.0, caption), _clip(source, 1, 2.0, 4.5), None]
    writer = open_writer(Location(tmp_path / "out"), "clips")
    result = writer.write_shard(0, samples, None)
    assert result.failed == {2: "could not be read again"}
    assert result.samples == 2
    for file in result.files:
        data = (tmp_path / "out" / file.path).read_bytes()
        assert (len(data), xxhash.xxh3_128_hexdigest(data)) == (file.size, file.hash)
    told = json.loads((tmp_path / "out" / "metas" / "v0" / f"{0:032x}.json").read_bytes())
    assert told["clip_location"] == f"clips/{0:032x}.mp4"
    assert told["duration_span"] == [0.0, 1.0]
    assert (told["num_frames"], told["width"], told["height"], told["framerate"]) == (24, 640, 360, 24.0)
    window = {"start_frame": 0, "end_frame": 24, "qwen_caption": "a room"}
    assert told["windows"] == [window | {"captions": [{"model": "qwen", "kind": "caption", "prompt": "ab"}]}]
    assert told["has_caption"] is True
    with av.open(tmp_path / "out" / told["clip_location"]) as container:
        assert len(list(container.decode(video=0))) == 24
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize(
    "told",
    [
        *(
            {"duration_span": span}
            for span in (None, [], ["a", "b"], [1, float("nan")], [1, 10**400], [1], 5)
        ),
        *({"source_video": value} for value in (7, None, "", ["a"])),
        *({"framerate_source": value} for value in ("x", True)),
        *({"sluice": {"mode": value}} for value in (3, None, ["copy"])),
        *({"sluice": {name: "x"}} for name in ("first_pts", "last_pts")),
        *({"sluice": {"first_pts": value}} for value in (10**30, 0.5)),
        {"sluice": {"fallback_reason": 1, "fields": 3}},
        {"sluice": None},
    ],
)
def test_metadata_of_the_wrong_kind_is_not_believed(
    data_dir: Path, tmp_path: Path, told: dict[str, Any]
) -> None:
    source = data_dir / "videos" / "data-juicer__video1.mp4"
    beside = json.dumps({"span_uuid": f"{0:032x}", **told}).encode()
    meta = Item("metadata", "application/json", "json", media=Media(data=beside))
    writer = open_writer(Location(tmp_path / "out"), "clips")
    results = [writer.write_shard(0, [_clip(source, 0, None, None, meta), None], None)]
    assert results[0].failed == {1: "could not be read again"}
    entries = [{"files": [{"path": f.path} for f in r.files], "failed": r.failed} for r in results]
    writer.finish(entries)
    found = json.loads((tmp_path / "out" / "metas" / "v0" / f"{0:032x}.json").read_bytes())
    assert found["source_video"] == source.name
    assert found["duration_span"] == [0.0, pytest.approx(11.75, abs=0.05)]
    assert found["sluice"]["mode"] == "copy"
    assert (found["sluice"]["first_pts"], found["sluice"]["fallback_reason"]) == (0, None)


def test_previews_show_each_caption_window_or_where_it_would_be(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "videos" / "data-juicer__video1.mp4"  # 24 frames a second
    window = Item(
        "text",
        "text/plain",
        "caption_000.txt",
        text="a room",
        fields={"start_frame": 24, "end_frame": 96, "model": "qwen", "kind": "caption"},
    )
    samples = [_clip(source, 0, 0.0, 5.0, window), _clip(source, 1, 2.0, 4.0), _clip(source, 2, None, None)]
    writer = open_writer(Location(tmp_path / "out"), "clips", previews=True)
    result = writer.write_shard(0, samples, None)
    assert not result.failed
    shown = {}
    for path in sorted((tmp_path / "out" / "previews").rglob("*.webp")):
        with Image.open(path) as image:
            shown[f"{int(path.parent.name, 16)}/{path.name}"] = (image.n_frames, image.size)
    assert shown == {
        "0/24_96.webp": (3, (427, 240)),
        "1/0_48.webp": (2, (427, 240)),
        "2/0_282.webp": (12, (427, 240)),
    }
    assert {f.path for f in result.files} >= {f"previews/{n:032x}" + k[1:] for n, k in enumerate(shown)}


@pytest.mark.parametrize("windows", [[(0, 24), (24, 48), (96, 120)], [(96, 120)], [(7, 7)]])
def test_windows_beyond_the_clip_have_no_preview(
    data_dir: Path, tmp_path: Path, windows: list[tuple[int, int]]
) -> None:
    source = data_dir / "videos" / "data-juicer__video1.mp4"
    captions = [
        Item(
            "text",
            "text/plain",
            f"caption_{k:03d}.txt",
            text="a room",
            fields={"start_frame": start, "end_frame": end, "model": "qwen", "kind": "caption"},
        )
        for k, (start, end) in enumerate(windows)
    ]
    writer = open_writer(Location(tmp_path / "out"), "clips", previews=True)
    result = writer.write_shard(0, [_clip(source, 0, 0.0, 2.0, *captions)], None)
    assert not result.failed
    shown = sorted(p.stem for p in (tmp_path / "out" / "previews").rglob("*.webp"))
    assert shown == (["0_24", "24_48"] if len(windows) > 1 else ["0_48"])
    told = json.loads((tmp_path / "out" / "metas" / "v0" / f"{0:032x}.json").read_bytes())
    assert [(w["start_frame"], w["end_frame"]) for w in told["windows"]] == windows


def test_frames_are_dealt_to_windows_as_captioners_do() -> None:
    assert frame_windows(600) == [(0, 256), (256, 600)]
    assert frame_windows(640) == [(0, 256), (256, 512), (512, 640)]
    assert [frame_windows(n) for n in (3, 4, 383, 384)] == [[], [(0, 4)], [(0, 383)], [(0, 256), (256, 384)]]
