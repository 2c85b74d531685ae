"""Captions of windows become texts of their clips, which the metadata of clips then tells of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluice.operator import registry
from sluice.operator.mapping import MapperChain
from sluice.ops.video.caption import WindowCaptions
from sluice.ops.video.caption_local import LocalWindowCaptions
from sluice.ops.video.captions import WindowCaption, to_json
from sluice.sample import Item, Media, Sample
from sluice.writers.clip_metadata import windows

CLIP = Item("video", "video/mp4", "mp4", media=Media(data=b"not looked at"))


def old(model: str, name: str = "caption_000.txt", start: int = 0) -> Item:
    fields = {"start_frame": start, "end_frame": 256, "model": model, "kind": "caption"}
    return Item("text", "text/plain", name, "Old words.", fields=fields)


def mapped(
    said: list[WindowCaption] | None, *more: Item, model: Path | None = None, **settings: Any
) -> Sample:
    """The clip as the mapper makes it of captions by an endpoint, or by a model at a path; neither is ever asked."""
    asked: dict[str, Any] = {"video_caption": {"url": "http://127.0.0.1:9/v1", "model": "new"}}
    if model is not None:
        asked = {"video_caption_local": {"model": str(model)}}
    by = "endpoint" if model is None else "local"
    mapper = registry().bind("sample_add_window_captions", {"by": by, **settings}, with_=asked)
    (measure,) = mapper.bindings.values()
    value = None if said is None else ("text", to_json(said), 0, "new", "hash", 3, 4, 0.1)
    sample = Sample("id", "key", (CLIP, *more))
    (found,) = MapperChain([mapper], [measure])([sample], {measure: [[value]]})
    return found


SAID = [
    WindowCaption(0, 256, "A street.", None, 10, 2),
    WindowCaption(256, 512, None, "refused", 10, 5),
    WindowCaption(512, 640, "A square.", None, None, None),
]


@pytest.mark.parametrize("local", [False, True])
def test_the_windows_with_captions_are_texts_behind_the_video(local: bool, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    photo = Item("text", "text/plain", "txt", "A title.")
    found = mapped(SAID, photo, model=tmp_path if local else None)
    assert [item.name for item in found.items] == ["mp4", "caption_000.txt", "caption_001.txt", "txt"]
    assert windows(found.items) == [
        {
            "start_frame": 0,
            "end_frame": 256,
            "new_caption": "A street.",
            "captions": [
                {
                    "model": "new",
                    "kind": "caption",
                    "prompt": "hash",
                    "prompt_tokens": 10,
                    "completion_tokens": 2,
                }
            ],
        },
        {
            "start_frame": 512,
            "end_frame": 640,
            "new_caption": "A square.",
            "captions": [{"model": "new", "kind": "caption", "prompt": "hash"}],
        },
    ]


@pytest.mark.parametrize(("mode", "left"), [("replace", ["new", "new"]), ("add", ["new", "new", "other"])])
def test_captions_that_are_there_go_or_stay_by_their_model(mode: str, left: list[str]) -> None:
    found = mapped(SAID, old("other"), old("new", "caption_001.txt"), mode=mode)
    texts = [item for item in found.items if item.modality == "text"]
    assert [item.fields["model"] for item in texts] == left
    assert len({item.name for item in texts}) == len(texts)


def test_a_clip_without_captions_stays_a_clip() -> None:
    assert mapped(None).items == (CLIP,)
    assert mapped([WindowCaption(0, 256, None, "empty")]).items == (CLIP,)
    assert mapped(None, old("other")).items == (CLIP,)
    assert mapped(None, old("other"), mode="add").items == (CLIP, old("other"))


def test_windows_model_and_prompt_have_the_same_places_whoever_captioned() -> None:
    for name in ("windows", "model", "prompt"):
        assert WindowCaptions._fields.index(name) == LocalWindowCaptions._fields.index(name)
