"""Captions in whole runs: measured behind the rules, paid once, told, and written beside their pictures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from journeys import FATES, balanced, members

from caption_server import Captioner, completion, described, picture_in, status
from sluice.errors import PlanError, UnavailableError
from sluice.model import endpoint
from sluice.recipe.load import loads
from sluice.run import run
from sluice.run.engine import WorkerLimits
from sluice.run.forecast import probe
from sluice.run.local import LocalEngine
from sluice.run.prepare import prepare

PHOTOS = (
    "data-juicer__cat.jpg",
    "Pillow__hopper.jpg",
    "LLaVA__waterview.jpg",
    "CLIP_prefix_caption__CONCEPTUAL_03.jpg",
)
ADD = "  - map: {sample_add_caption: {by: endpoint}}\n"


@pytest.fixture
def photos(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(endpoint, "BACK_OFF_S", 0.01)
    (tmp_path / "in").mkdir()
    for name in PHOTOS:
        shutil.copy(data_dir / "photos" / name, tmp_path / "in" / name)
    (tmp_path / "in" / "data-juicer__cat.txt").write_text("An old caption.")
    return tmp_path


def measure(captioner: Captioner, **settings: Any) -> str:
    asked = json.dumps({"url": captioner.url, "model": "m", "retries": 0, **settings})
    return f"  - measure: {{image_caption: {asked}}}\n"


def go(folder: Path, steps: str, **options: Any) -> dict[str, Any]:
    text = f"source: in\nsteps:\n{steps}write: {{path: out}}\n"
    settings = {"workers": 0, "quiet": True, "output": str(folder / "out"), **options}
    return run(loads(text, source=str(folder / "in")), **settings)


def texts(folder: Path) -> dict[str, str]:
    found = members(folder / "out")
    return {name: data.decode() for name, data in found.items() if name.endswith((".txt", ".caption"))}


def test_captions_stand_beside_their_pictures_and_nothing_is_paid_for_what_fell(
    photos: Path, captioner: Captioner
) -> None:
    prices = {"price_per_million_input": 1.0, "price_per_million_output": 2.0}
    found = go(photos, "  - keep: image_width_px >= 300\n" + measure(captioner, **prices) + ADD)
    assert [found[fate] for fate in FATES] == [3, 1, 0, 0]
    assert balanced(found)
    assert len(captioner.bodies) == 3  # neither the small one, nor anything twice
    said = {described(picture_in(body)) for body in captioner.bodies}
    written = texts(photos)
    assert written.pop("data-juicer__cat.txt") == "An old caption."
    assert set(written) == {
        "data-juicer__cat.caption",
        "LLaVA__waterview.txt",
        "CLIP_prefix_caption__CONCEPTUAL_03.txt",
    }
    assert set(written.values()) == said
    tokens = sum(len(caption.split()) for caption in said)
    assert found["spent"] == {
        "image_caption_tokens_in": 300,
        "image_caption_tokens_out": tokens,
        "image_caption_cost_usd": pytest.approx((300 + 2 * tokens) / 1e6),
    }
    beside = pq.read_table(photos / "out" / "00000.parquet")
    assert set(beside.column("image_caption_text").to_pylist()) == said
    for name in (n for n in PHOTOS if n != "Pillow__hopper.jpg"):
        assert members(photos / "out")[name] == (photos / "in" / name).read_bytes()


def test_the_mapper_alone_measures_what_it_needs(photos: Path, captioner: Captioner) -> None:
    settings = json.dumps({"url": captioner.url, "model": "m"})
    step = f"  - map: {{sample_add_caption: {{by: endpoint, mode: replace, with: {{image_caption: {settings}}}}}}}\n"
    go(photos, step)
    assert len(captioner.bodies) == 4
    assert texts(photos)["data-juicer__cat.txt"].startswith("A picture of")
    assert "image_caption_text" in pq.read_table(photos / "out" / "00000.parquet").column_names


def test_local_captions_are_written_without_running_the_model_again(
    photos: Path, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = f"  - measure: {{image_caption_local: {{model: {tiny_model('blip_captioner')}}}}}\n"
    go(photos, steps)
    shutil.rmtree(photos / "sluice-store" / "journal")
    from sluice.model.captioner import Captioner as Local

    monkeypatch.setattr(Local, "open", lambda self: pytest.fail("the model was loaded again"))
    go(photos, steps + "  - map: sample_add_caption\n", update=True)
    beside = pq.read_table(photos / "out" / "00000.parquet").to_pylist()
    captions = {row["key"]: row["image_caption_local_text"] for row in beside}
    assert texts(photos)["Pillow__hopper.txt"] == captions["Pillow__hopper"]


def test_another_run_over_the_same_pictures_pays_nothing(photos: Path, captioner: Captioner) -> None:
    first = go(photos, measure(captioner) + ADD)
    before = texts(photos)
    shutil.rmtree(photos / "sluice-store" / "fragments")
    shutil.rmtree(photos / "out")
    again = go(photos, measure(captioner) + ADD)
    assert len(captioner.bodies) == 4
    assert again["spent"] == first["spent"]
    assert texts(photos) == before


def test_an_endpoint_that_does_not_count_is_not_told_to_be_free(photos: Path, captioner: Captioner) -> None:
    reply = {"choices": [{"message": {"content": "A picture."}, "finish_reason": "stop"}]}
    captioner.behave = lambda _, picture: (200, {}, json.dumps(reply).encode())
    priced = measure(captioner, price_per_million_input=1.0, price_per_million_output=2.0)
    found = go(photos, priced + ADD)
    assert (found["kept"], found["spent"]) == (4, {})


def test_a_picture_whose_requests_fail_is_a_counted_failure_until_it_is_retried(
    photos: Path, captioner: Captioner
) -> None:
    captioner.behave = lambda body, sent: (
        status(500) if described(sent).startswith("A picture of 128 ") else completion(described(sent))
    )
    found = go(photos, measure(captioner) + ADD)
    assert found["failures"] == {"image_caption: HTTP 500": 1}
    assert balanced(found)
    captioner.behave = lambda body, sent: completion(described(sent))
    asked = len(captioner.bodies)
    assert go(photos, measure(captioner) + ADD)["failed"] == 1
    assert len(captioner.bodies) == asked
    assert go(photos, measure(captioner) + ADD, retry_failed=True)["failed"] == 0
    assert len(captioner.bodies) == asked + 1
    assert "Pillow__hopper.txt" in texts(photos)


def test_what_is_no_caption_adds_no_text_and_a_rule_can_drop_it(photos: Path, captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion("I'm sorry, I cannot describe people.")
    found = go(photos, measure(captioner) + ADD)
    assert (found["kept"], found["failed"]) == (4, 0)
    assert texts(photos) == {"data-juicer__cat.txt": "An old caption."}
    dropping = measure(captioner) + "  - keep: image_caption_text != ''\n"
    assert go(photos, dropping, update=True)["dropped"] == 4
    assert len(captioner.bodies) == 4


def test_captions_that_many_pictures_share_are_found_by_their_frequency(
    photos: Path, captioner: Captioner
) -> None:
    captioner.behave = lambda body, sent: completion(
        described(sent) if described(sent).startswith("A picture of 128 ") else "An image."
    )
    found = go(photos, measure(captioner) + "  - frequency: {by: image_caption_text, max_count: 2}\n")
    assert (found["kept"], found["dropped"]) == (1, 3)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_endpoint_that_refuses_the_key_ends_the_run(
    photos: Path, captioner: Captioner, workers: int
) -> None:
    captioner.behave = lambda body, sent: status(401, "bad key")
    with pytest.raises(UnavailableError, match="refuses the API key"):
        go(photos, measure(captioner, concurrency=1) + ADD, workers=workers)
    assert len(captioner.bodies) == 1
    captioner.behave = lambda body, sent: completion(described(sent))
    assert go(photos, measure(captioner, concurrency=1) + ADD, workers=workers)["kept"] == 4


def test_the_command_line_says_what_is_wrong_with_the_endpoint(photos: Path) -> None:
    recipe = photos / "recipe.yaml"
    asked = "{url: 'http://127.0.0.1:9/v1', model: m, retries: 0}"
    recipe.write_text(f"source: in\nsteps: [{{measure: {{image_caption: {asked}}}}}]\nwrite: {{path: out}}\n")
    command = [sys.executable, "-m", "sluice", "run", str(recipe), "--source", str(photos / "in"), "--quiet"]
    options: dict[str, Any] = {"capture_output": True, "text": True}
    done = subprocess.run([*command, "--output", str(photos / "out")], check=False, **options)
    assert done.returncode == 1
    assert "http://127.0.0.1:9/v1/chat/completions" in done.stderr
    assert "never answered" in done.stderr
    recipe.write_text(recipe.read_text().replace("retries: 0", "retries: 0, api_key_env: NO_SUCH_KEY"))
    done = subprocess.run([*command, "--output", str(photos / "out")], check=False, **options)
    assert done.returncode == 3
    assert "NO_SUCH_KEY" in done.stderr


def test_a_slow_endpoint_is_no_hung_worker(photos: Path, captioner: Captioner) -> None:
    def slow(body: Any, sent: bytes) -> Any:
        import time

        time.sleep(1.5)
        return completion(described(sent))

    captioner.behave = slow
    with LocalEngine(1, WorkerLimits(sample_s=1.2)) as engine:
        found = go(photos, measure(captioner, concurrency=1), engine=engine, workers=None)
    assert (found["kept"], found["failed"]) == (4, 0)
    assert len(captioner.bodies) == 4


def test_a_dear_mapper_must_follow_the_rules_and_come_before_what_changes_its_pictures(
    photos: Path, captioner: Captioner
) -> None:
    mapper = ADD.replace(
        "by: endpoint", f"by: endpoint, with: {{image_caption: {{url: '{captioner.url}', model: m}}}}"
    )
    with pytest.raises(PlanError, match="for samples that the rules then drop"):
        go(photos, mapper + "  - keep: image_width_px >= 300\n")
    with pytest.raises(PlanError, match="of what 'image_resize' makes"):
        go(photos, measure(captioner) + "  - map: image_resize\n" + ADD)
    go(photos, measure(captioner) + ADD + "  - map: {image_resize: {max_side_px: 64}}\n")
    assert len(captioner.bodies) == 4


def test_a_forecast_tells_the_price_of_all(photos: Path, captioner: Captioner) -> None:
    text = f"source: in\nsteps:\n{measure(captioner, price_per_million_input=10.0)}write: {{path: out}}\n"
    prepared = prepare(loads(text, source=str(photos / "in")), output=str(photos / "out"))
    with LocalEngine(0) as engine:
        found = probe(prepared, 2, engine, quiet=True)
    seen = found["probed"]["samples"]
    assert len(captioner.bodies) == seen
    assert found["spend"]["image_caption_cost_usd"] == pytest.approx(4 * 100 * 10 / 1e6)
    go(photos, measure(captioner, price_per_million_input=10.0))
    assert len(captioner.bodies) == 4  # what the probe paid for is kept
