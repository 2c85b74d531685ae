"""Captions of clips in whole runs: as they are split and written, and as another version beside clips that stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from journeys import balanced

from caption_server import Captioner, completion, pictures_in, text_in
from clip_trees import add_clip, metadata, rendered, window
from made_videos import made, numbered
from sluice.errors import UsageError
from sluice.model import endpoint
from sluice.readers import open_reader
from sluice.recipe.load import load, loads
from sluice.run import run
from sluice.run.verify import verify
from sluice.storage import Location
from sluice.store import RunDir


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(endpoint, "BACK_OFF_S", 0.01)
    for k, frames in enumerate((3, 60, 300)):
        key = f"clip-{k}"
        add_clip(
            tmp_path / "clips", key, rendered(64, 48, frames, k), metadata(key, [window(0, "Old words.")])
        )
    return tmp_path / "clips"


def annotated(
    tree: Path, captioner: Captioner, *settings: str, version: str = "v1", **options: Any
) -> dict[str, Any]:
    caption = "steps.1.measure.0.video_caption"
    own = [f"{caption}.url={captioner.url}", f"{caption}.model=m/new", f"{caption}.language=null", *settings]
    output = str(tree / "metas" / version)
    recipe = load("video-annotate", own, source=str(tree), output=output)
    given = {"workers": 0, "quiet": True, "store": str(tree.parent / "store"), **options}
    return run(recipe, output=output, **given)


def told(tree: Path, version: str = "v1") -> dict[str, dict[str, Any]]:
    files = sorted((tree / "metas" / version).glob("clip-*.json"))
    return {path.stem: json.loads(path.read_text()) for path in files}


def stood(tree: Path) -> dict[str, tuple[bytes, int]]:
    paths = [p for folder in ("clips", "metas/v0") for p in sorted((tree / folder).rglob("*"))]
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in paths}


def test_new_captions_are_another_version_and_nothing_else_is_touched(
    tree: Path, captioner: Captioner
) -> None:
    before = stood(tree)
    captioner.behave = lambda body, sent: completion(f"{len(pictures_in(body))} frames.")
    found = annotated(tree, captioner, "steps.1.measure.0.video_caption.price_per_million_input=1.0")
    assert found["failures"] == {}
    assert (found["read"], found["kept"]) == (3, 3)
    assert balanced(found)
    assert found["spent"]["video_caption_cost_usd"] == pytest.approx(2 * 100 / 1e6)
    assert stood(tree) == before
    new = told(tree)
    assert [(key, each["has_caption"]) for key, each in new.items()] == [
        ("clip-0", False),  # three frames: no window, and still a clip
        ("clip-1", True),
        ("clip-2", True),
    ]
    (said,) = new["clip-2"]["windows"]
    assert (said["start_frame"], said["end_frame"], said["m/new_caption"]) == (0, 300, "20 frames.")
    assert said["captions"][0] | {"prompt": "?"} == {
        "model": "m/new",
        "kind": "caption",
        "prompt": "?",
        "prompt_tokens": 100,
        "completion_tokens": 2,
    }
    old = json.loads((tree / "metas" / "v0" / "clip-2.json").read_text())
    assert {n: v for n, v in new["clip-2"].items() if n not in ("windows", "has_caption", "sluice")} == {
        n: v for n, v in old.items() if n not in ("windows", "has_caption")
    }
    assert verify(RunDir.find(str(tree / "metas" / "v1")), quiet=True)["kept"] == 3


def test_the_new_version_is_read_like_any_other(tree: Path, captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion("New words.")
    annotated(tree, captioner)
    reader = open_reader(Location(str(tree)), format="clips", settings={"annotation_version": "v1"})
    samples = [sample for part in reader.slices() for sample in reader.read(part)]
    assert [sample.key for sample in samples] == ["clip-0", "clip-1", "clip-2"]
    assert [[item.text for item in s.items if item.modality == "text"] for s in samples] == [
        [],
        ["New words."],
        ["New words."],
    ]
    again = annotated(
        tree,
        captioner,
        "source.settings.annotation_version=v1",
        "steps.2.map.sample_add_window_captions.mode=add",
        version="v2",
    )
    assert again["kept"] == 3
    assert told(tree, "v2")["clip-1"]["windows"] == told(tree)["clip-1"]["windows"]
    assert len(captioner.bodies) == 2  # of both versions together


def test_another_prompt_is_another_version_and_a_finished_run_asks_nothing(
    tree: Path, captioner: Captioner
) -> None:
    captioner.behave = lambda body, sent: completion("New words.")
    for _ in range(2):
        annotated(tree, captioner)
        assert len(captioner.bodies) == 2
    annotated(tree, captioner, "steps.1.measure.0.video_caption.prompt=short", version="short")
    assert len(captioner.bodies) == 4
    with pytest.raises(UsageError, match="another recipe"):
        annotated(tree, captioner, "steps.1.measure.0.video_caption.prompt=long")


def test_the_version_that_is_read_is_not_written(tree: Path, captioner: Captioner) -> None:
    with pytest.raises(UsageError, match="inside the source"):
        annotated(tree, captioner, version="v0")
    assert captioner.bodies == []


def test_a_caption_that_many_clips_share_is_null_and_says_so(tmp_path: Path, captioner: Captioner) -> None:
    tree = tmp_path / "clips"
    for k in range(4):
        add_clip(tree, f"clip-{k}", rendered(64, 48, 10, k), metadata(f"clip-{k}", []))
    replies = iter(["A video.", "A video.", "A street.", "A video."])
    captioner.behave = lambda body, sent: completion(next(replies))
    for most, repeated in ((2, 3), (3, 0)):
        annotated(tree, captioner, f"write.settings.max_repeats={most}", update=True)
        said = [each["windows"][0] for each in told(tree).values()]
        assert sum(each["m/new_caption"] is None for each in said) == repeated
        reasons = [each["captions"][0].get("reason") for each in said if each["m/new_caption"] is None]
        assert reasons == ["repeated"] * repeated
        assert [each["has_caption"] for each in told(tree).values()].count(False) == repeated
        assert verify(RunDir.find(str(tree / "metas" / "v1")), quiet=True)["kept"] == 4
    assert len(captioner.bodies) == 4


def test_a_second_stage_rewrites_captions_with_a_text_model(tree: Path, captioner: Captioner) -> None:
    def behave(body: Any, sent: bytes) -> Any:
        return completion(
            "A dull street." if pictures_in(body) else f"Anew: {text_in(body).splitlines()[-1]}"
        )

    captioner.behave = behave
    rewriting = json.dumps({"video_caption_rewritten": {"url": captioner.url, "model": "writer"}})
    first = json.dumps({"video_caption": {"url": captioner.url, "model": "m"}})
    steps = (
        f"steps.1.measure=[{first}, {rewriting}]",
        "steps.2.map.sample_add_window_captions.rewritten=true",
    )
    output = str(tree / "metas" / "v1")
    found = run(
        load("video-annotate", steps, source=str(tree), output=output),
        output=output,
        workers=0,
        quiet=True,
        store=str(tree.parent / "store"),
    )
    assert found["kept"] == 3
    (said,) = told(tree)["clip-1"]["windows"]
    assert (said["m_caption"], said["writer_enhanced_caption"]) == ("A dull street.", "Anew: A dull street.")
    assert len(captioner.bodies) == 3  # two windows, and their one caption rewritten once
    assert found["spent"]["video_caption_rewritten_tokens_in"] == 200


def test_clips_are_captioned_as_they_are_split_and_written(tmp_path: Path, captioner: Captioner) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "street.mp4").write_bytes(made(numbered(150, 96, 64), fps=30))
    captioner.behave = lambda body, sent: completion(f"{len(pictures_in(body))} frames.")
    text = f"""
source: in
steps:
  - split: {{video_split_stride: {{length_s: 2, min_length_s: 0.5}}}}
  - measure: {{video_caption: {{url: "{captioner.url}", model: m}}}}
  - map: {{sample_add_window_captions: {{by: endpoint}}}}
write: {{path: out, format: clips}}
"""
    found = run(loads(text, source=str(tmp_path / "in")), output=str(tmp_path / "out"), workers=0, quiet=True)
    assert found["kept"] == 3
    metas = [json.loads(path.read_text()) for path in (tmp_path / "out" / "metas" / "v0").glob("*.json")]
    said = sorted((each["num_frames"], each["windows"][0]["m_caption"]) for each in metas)
    assert said == [(30, "2 frames."), (60, "4 frames."), (60, "4 frames.")]
