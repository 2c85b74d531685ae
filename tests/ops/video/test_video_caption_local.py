"""Captions of windows by a local model: those of a plain pass of transformers, kept in the journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from made_videos import made, numbered
from sluice.model import journal
from sluice.model.pretrained import quiet
from sluice.model.prompts import prompt_text
from sluice.operator import Measured, Program, registry
from sluice.ops.video.windows import Sampling, clip_times, shown
from sluice.sample import Item, Media, Sample
from sluice.storage import Location

Tiny = Callable[[str], str]


@pytest.fixture(autouse=True)
def _store(tmp_path: Path) -> Iterator[None]:
    journal.use(Location(str(tmp_path)))
    yield
    journal.use(None)


def video(frames: int, first: int = 0) -> Media:
    return Media(data=made(numbered(frames, 96, 64, first=first), fps=30, options={"preset": "ultrafast"}))


def captions(*videos: Media, **settings: Any) -> Measured:
    clips = [
        Sample(str(k), str(k), (Item("video", "video/mp4", media=view),)) for k, view in enumerate(videos)
    ]
    return Program([registry().bind("video_caption_local", settings)])(clips)


def texts(measured: Measured) -> list[list[str | None]]:
    column = measured.columns["video_caption_local_windows"]
    return [[window["text"] for window in json.loads(value)] for (value,) in column]


def test_a_model_that_chats_is_shown_all_frames_of_a_window(tiny_model: Tiny) -> None:
    import torch
    import transformers

    folder, clip = tiny_model("llava"), video(40)
    times = clip_times(clip)
    with quiet():
        model = transformers.LlavaForConditionalGeneration.from_pretrained(folder).eval()
        processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
    expected = []
    for start, end in ((0, 20), (20, 40)):
        seen = shown(clip, times[start:end], Sampling(4.0, 64, 4_194_304)).pictures
        assert len(seen) == 3
        inputs = processor(
            text=[f"{'<image>' * 3} {prompt_text('short', 'video')} a"],
            images=[Image.fromarray(rgb) for rgb in seen],
            return_tensors="pt",
        )
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=5, do_sample=False)[0]
        written = ids[inputs["input_ids"].shape[1] :].tolist()
        expected.append(processor.tokenizer.decode(written, skip_special_tokens=True).strip())
    settings = {"prompt": "short", "max_tokens": 5, "window_frames": 20, "min_remainder_frames": 20, "fps": 4}
    found = captions(clip, model=folder, **settings)
    journaled = [
        json.loads(line)["reply"]["text"].strip()
        for path in sorted(Path(journal_folder()).rglob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    assert journaled == expected
    reasons = [w.get("reason") for w in json.loads(found.columns["video_caption_local_windows"][0][0])]
    assert all(reason in (None, "truncated") for reason in reasons)  # a tiny model rarely ends by itself


def journal_folder() -> str:
    assert journal._folder is not None
    return str(journal._folder)


def test_any_other_captions_the_middle_frame(tiny_model: Tiny, tmp_path: Path) -> None:
    folder, clip = tiny_model("blip_captioner"), video(90)
    (middle,) = shown(clip, clip_times(clip), Sampling(2.0, 1, 4_194_304)).pictures
    out = tmp_path / "middle.png"
    Image.fromarray(middle).save(out)
    picture = Sample("p", "p", (Item("image", "image/png", media=Media(data=out.read_bytes())),))
    alone = Program([registry().bind("image_caption_local", {"model": folder})])([picture])
    assert texts(captions(clip, model=folder)) == [alone.columns["image_caption_local_text"][0]]


def test_a_window_is_captioned_once_whatever_the_company(tiny_model: Tiny, monkeypatch: Any) -> None:
    from sluice.model.captioner import Captioner

    folder = tiny_model("blip_captioner")
    settings = {"window_frames": 20, "min_remainder_frames": 10}
    first = captions(video(50), video(40, 300), **settings, model=folder)
    asked: list[int] = []
    call = Captioner.__call__
    monkeypatch.setattr(
        Captioner, "__call__", lambda self, shown: asked.append(len(shown)) or call(self, shown)
    )
    again = captions(video(40, 300), Media(data=b"none"), video(50), video(3), **settings, model=folder)
    assert asked == []
    assert texts(first)[0] == json_texts(again, 2)
    assert [note.reason for notes in again.notes for note in notes if note.kind == "unreadable"] == [
        "not a video"
    ]
    assert [note.reason for note in again.notes[3]] == ["too few frames"]


def test_the_journal_is_asked_once_for_windows_alike(tiny_model: Tiny, monkeypatch: Any) -> None:
    folder, asked = tiny_model("blip_captioner"), list[str]()
    get = journal.Journal.get
    monkeypatch.setattr(journal.Journal, "get", lambda self, key: asked.append(key) or get(self, key))
    found = captions(video(40), video(40), video(40, 300), model=folder)
    assert len(asked) == len(set(asked)) == 2
    assert json_texts(found, 0) == json_texts(found, 1)


def json_texts(measured: Measured, row: int) -> list[str | None]:
    return [w["text"] for w in json.loads(measured.columns["video_caption_local_windows"][row][0])]
