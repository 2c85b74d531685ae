"""Clip trees, ours and a peer's: a sample a clip, with its captions, and what is wrong with one alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clip_trees import TEXTS, add_clip, metadata, window
from sluice.errors import SourceError, UsageError
from sluice.readers import Reader, detect_format, open_reader
from sluice.sample import Sample

CLIP = b"\0\0\0\x18ftypmp42 not much of a clip"


def tree(folder: Path, *keys: str, **more: Any) -> Path:
    for key in keys:
        add_clip(folder, key, CLIP + key.encode(), metadata(key, **more))
    return folder


def read(reader: Reader) -> list[Sample]:
    return [sample for part in reader.slices() for sample in reader.read(part)]


def test_a_clip_is_its_video_its_captions_and_its_metadata(tmp_path: Path) -> None:
    windows = [window(0, TEXTS[0], qwen_enhanced_caption=TEXTS[1]), window(1, TEXTS[2], "pixtral")]
    tree(tmp_path, "b-1", windows=windows)
    assert detect_format(str(tmp_path)) == "clips"
    (sample,) = read(open_reader(str(tmp_path)))
    assert sample.key == "b-1"
    assert [(i.modality, i.name, i.text) for i in sample.items] == [
        ("video", "mp4", None),
        ("text", "caption_000.txt", TEXTS[0]),
        ("text", "caption_001.txt", TEXTS[1]),
        ("text", "caption_002.txt", TEXTS[2]),
        ("metadata", "json", None),
    ]
    video, first, second, third, meta = sample.items
    assert video.media is not None
    assert video.media.read() == CLIP + b"b-1"
    assert meta.media is not None
    assert meta.media.read() == (tmp_path / "metas/v0/b-1.json").read_bytes()
    told = {"prompt": None, "prompt_tokens": None, "completion_tokens": None, "annotation_version": "v0"}
    frames = {"start_frame": 0, "end_frame": 256}
    assert first.fields == {**frames, "model": "qwen", "kind": "caption", **told}
    assert second.fields == {**frames, "model": "qwen", "kind": "enhanced_caption", **told}
    assert (third.fields["start_frame"], third.fields["model"]) == (256, "pixtral")
    assert sample.fields["source_video"] == "raw/street.mp4"
    assert (sample.fields["width"], sample.fields["num_frames"], sample.fields["valid"]) == (1280, 200, True)
    assert (sample.fields["clip_start_s"], sample.fields["clip_end_s"]) == (2.5, 12.5)
    assert not {"windows", "motion_score", "aesthetic_score", "duration_span"} & set(sample.fields)


def test_prompts_and_tokens_are_read_where_they_are_told(tmp_path: Path) -> None:
    said = {
        "model": "qwen",
        "kind": "caption",
        "prompt": "0123456789abcdef",
        "prompt_tokens": 9,
        "completion_tokens": 4,
    }
    tree(tmp_path, "a", windows=[window(0, TEXTS[0], captions=[said, "junk"])])
    (sample,) = read(open_reader(str(tmp_path)))
    fields = sample.items[1].fields
    assert (fields["prompt"], fields["prompt_tokens"], fields["completion_tokens"]) == (
        "0123456789abcdef",
        9,
        4,
    )


def test_windows_without_caption_have_none(tmp_path: Path) -> None:
    tree(tmp_path, "a", windows=[window(0, None), window(1, " \n"), window(2, TEXTS[1])])
    (sample,) = read(open_reader(str(tmp_path)))
    assert [(i.name, i.fields["start_frame"]) for i in sample.items if i.modality == "text"] == [
        ("caption_000.txt", 512)
    ]


def test_another_version_has_other_captions_of_the_same_clips(tmp_path: Path) -> None:
    tree(tmp_path, "a", "b")
    add_clip(tmp_path, "a", None, metadata("a", [window(0, TEXTS[2], "other")]), "v1")
    first = read(open_reader(str(tmp_path)))
    again = read(open_reader(str(tmp_path), settings={"annotation_version": "v1"}))
    assert [s.id for s in again] == [s.id for s in first]
    assert again[0].items[1].text == TEXTS[2]
    assert again[0].items[1].fields["annotation_version"] == "v1"
    assert [n.reason for n in again[1].notes] == ["no metadata"]
    with pytest.raises(SourceError, match="no metadata of the version 'v2'") as caught:
        read(open_reader(str(tmp_path), settings={"annotation_version": "v2"}))
    assert "v0, v1" in caught.value.fix


BROKEN: dict[str, tuple[bytes | None, Any, str]] = {
    "c-no-clip": (None, metadata("c"), "no clip"),
    "d-no-meta": (CLIP, None, "no metadata"),
    "e-cut": (CLIP, b'{"span_uuid": "e", "windows": [', "malformed JSON"),
    "f-list": (CLIP, b"[1, 2]", "not a JSON object"),
    "g-latin": (CLIP, '{"a": "ä"}'.encode("latin-1"), "not UTF-8"),
    "h-deep": (CLIP, b"[" * 100_000, "malformed JSON"),
    "i-windows": (CLIP, metadata("i", windows="x"), "malformed windows"),
    "j-frames": (CLIP, metadata("j", [{"start_frame": "0", "end_frame": 4}]), "malformed windows"),
    "k-text": (CLIP, metadata("k", [window(0, 5)]), "malformed windows"),
}


def test_what_is_broken_fails_alone(tmp_path: Path) -> None:
    tree(tmp_path, "a", "z")
    for key, (clip, told, _) in BROKEN.items():
        add_clip(tmp_path, key, clip, told)
    found = {s.key: s for s in read(open_reader(str(tmp_path)))}
    assert list(found) == sorted(["a", *BROKEN, "z"])
    assert {k: [n.reason for n in s.notes] for k, s in found.items()} == {
        "a": [],
        "z": [],
        **{key: [reason] for key, (_, _, reason) in BROKEN.items()},
    }


def test_hostile_values_do_no_harm(tmp_path: Path) -> None:
    told = metadata("a") | {"id": "mine", "key": 3, "huge": 10**30, "items": [1], "parent": None}
    add_clip(tmp_path, "a", CLIP, json.dumps(told).replace('"framerate": 30.0', '"framerate": NaN').encode())
    (sample,) = read(open_reader(str(tmp_path)))
    assert not sample.notes
    assert (sample.fields["source_id"], sample.fields["source_key"]) == ("mine", 3)
    assert not {"id", "key", "huge", "items", "framerate"} & set(sample.fields)


def test_a_filtered_clip_is_no_failure_but_not_valid(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    add_clip(tmp_path, "b", None, metadata("b", valid=False))
    found = read(open_reader(str(tmp_path)))
    assert [(s.key, s.fields["valid"], [i.modality for i in s.items], s.notes) for s in found] == [
        ("a", True, ["video", "text", "metadata"], ()),
        ("b", False, ["text", "metadata"], ()),
    ]


def test_ids_with_dots_spaces_and_folders_meet_their_metadata(tmp_path: Path) -> None:
    keys = ["a", "a-1", "a.k", "a.k.l", "a.z", "ünï cödé 1", "sub/a", "sub.d/a", "s"]
    for key in keys:
        (tmp_path / "clips" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "metas/v0" / key).parent.mkdir(parents=True, exist_ok=True)
        add_clip(tmp_path, key, CLIP, metadata(key))
    found = read(open_reader(str(tmp_path)))
    assert sorted(s.key for s in found) == sorted(keys)
    assert not any(s.notes for s in found)
    (tmp_path / "clips/sub.d/a.mp4").unlink()
    assert {s.key: [n.reason for n in s.notes] for s in read(open_reader(str(tmp_path))) if s.notes} == {
        "sub.d/a": ["no clip"]
    }


def test_two_clips_of_one_id_fail(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    (tmp_path / "clips/a.mov").write_bytes(CLIP)
    assert [[n.reason for n in s.notes] for s in read(open_reader(str(tmp_path)))] == [
        ["several clips of one id"]
    ]


def test_rows_are_read_alone_and_slices_cover_all(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{k:03d}" for k in range(30)))
    reader = open_reader(str(tmp_path))
    parts = list(reader.slices())
    assert sum(part.samples or 0 for part in parts) == 30
    everything = [s.key for s in read(reader)]
    assert everything == [f"{k:03d}" for k in range(30)]
    part = parts[0]
    assert part.samples is not None
    assert [s.key for s in reader.read(part, {1, 3})] == [everything[1], everything[3]]


def test_the_rest_of_a_tree_does_not_hide_it(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    for extra in ("clips.parquet", "summary.json", "previews/a/0_256.webp", "embeddings/m/0.parquet"):
        (tmp_path / extra).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / extra).write_bytes(b"x")
    assert detect_format(str(tmp_path)) == "clips"
    assert [s.key for s in read(open_reader(str(tmp_path)))] == ["a"]


def test_a_part_of_a_tree_and_columns_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    with pytest.raises(UsageError, match="as a folder"):
        open_reader(f"{tmp_path}/clips/*.mp4", format="clips")
    with pytest.raises(UsageError, match="no columns"):
        open_reader(str(tmp_path), format="clips", columns={"text": "x"})
