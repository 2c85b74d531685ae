"""Judges of data: what was planted is found, a malformed word is no word, and nothing is asked twice."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import loop_data
import pyarrow as pa
import pytest
import yaml

from caption_server import Captioner, completion
from sluice.errors import UsageError
from sluice.sandbox.judge.judged import Judgement, pool_table, sample_table
from sluice.sandbox.judge.quality import quality
from sluice.sandbox.pools import Pool
from sluice.sandbox.workflow.blackboard import Blackboard
from sluice.sandbox.workflow.config import read_workflow
from sluice.sandbox.workflow.runner import run_workflow

GOOD = ("a brown dog runs on the beach", "two children play with a red ball", "the old bridge at night")
BAD = ("click here to buy now", "lorem ipsum cookie policy", "free shipping best price")


def texts(kind: tuple[str, ...], count: int, seed: int) -> list[str]:
    words = [word for text in kind for word in text.split()]
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=9)) for _ in range(count)]


def test_a_classifier_tells_good_texts_from_others_that_it_never_saw() -> None:
    asked = {f"g{n}": t for n, t in enumerate(texts(GOOD, 20, 1))}
    asked |= {f"b{n}": t for n, t in enumerate(texts(BAD, 20, 2))}
    found = quality(asked, texts(GOOD, 60, 3), {str(n): t for n, t in enumerate(texts(BAD, 60, 4))})
    assert found.auc > 0.95
    assert min(v for k, v in found.scores.items() if k[0] == "g") > 0.5
    assert max(v for k, v in found.scores.items() if k[0] == "b") < 0.5


def test_a_classifier_of_one_kind_says_that_it_knows_nothing() -> None:
    same = texts(GOOD, 120, 5)
    found = quality({"x": same[0]}, same[:60], {str(n): t for n, t in enumerate(same[60:])})
    assert 0.3 < found.auc < 0.7
    with pytest.raises(UsageError, match="too few"):
        quality({}, same[:2], {})


def test_a_pool_is_judged_by_its_mean_and_what_is_missing_is_told() -> None:
    said = [Judgement(n, "m", v) for n, v in (("a", 1.0), ("b", 3.0), ("c", 8.0))]
    table = sample_table([*said, Judgement("d", "m", None, "malformed reply")])
    pools = {
        name: Pool(name, pa.array(list(ids))) for name, ids in (("p", "abd"), ("r", "aaab"), ("one", "cz"))
    }
    rows = {row["arm"]: row for row in pool_table(table, pools).to_pylist()}
    assert (rows["p"]["mean"], rows["p"]["samples"], rows["p"]["missing"]) == (2.0, 2, 1)
    half = 1.959964 * 2**0.5 / 2**0.5
    assert rows["p"]["high"] - rows["p"]["mean"] == pytest.approx(half)
    assert rows["r"]["mean"] == 1.5
    assert rows["r"]["high"] - 1.5 == pytest.approx(1.959964 * 2**0.5 * (0.75**2 + 0.25**2) ** 0.5)
    assert (rows["one"]["mean"], rows["one"]["low"], rows["one"]["samples"]) == (8.0, None, 1)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loop_data.captioned_run(tmp_path_factory.mktemp("judged"))


def evaluated(output: Path, measured: Path, **settings: Any) -> Blackboard:
    pools = {"hook": "pools", "settings": {"run": str(measured), "measures": ["image_width_px"]}}
    workflow = {"probe": [pools], "evaluate": [{"hook": "evaluate_data", "settings": settings}]}
    return run_workflow(read_workflow(yaml.safe_dump(workflow), "w.yaml"), output).results


NUMBER = re.compile(r"number (\d+), a picture")


def judge(body: dict[str, Any], picture: bytes) -> Any:
    """Samples of greater numbers are better; number 3 gets prose, number 5 a grade that there is not."""
    shown = " ".join(part.get("text", "") for part in body["messages"][0]["content"])
    numbers = [int(n) for n in NUMBER.findall(shown)]
    if len(numbers) == 2:
        return completion(json.dumps({"better": "A" if numbers[0] > numbers[1] else "B"}))
    if numbers == [3]:
        return completion("I would say it is quite good.")
    grade = 9 if numbers == [5] else 1 + numbers[0] // 5
    scores = dict.fromkeys(("accuracy", "clarity", "information", "cleanliness"), grade)
    return completion(f"Sure! Here you are: {json.dumps(scores)}")


def test_a_model_behind_an_endpoint_scores_and_prefers(
    measured: Path, tmp_path: Path, captioner: Captioner
) -> None:
    captioner.behave = judge
    llm = {"url": captioner.url, "model": "judge", "pairs": 8, "retries": 0}
    board = evaluated(tmp_path / "one", measured, llm=llm)
    judged = [row for row in board["judged"].to_pylist() if row["metric"] == "llm_score"]
    assert len(judged) == loop_data.PICTURES
    assert [row["reason"] for row in judged if row["value"] is None] == ["malformed reply"] * 2
    rows = {(row["arm"], row["metric"]): row for row in board["data_scores"].to_pylist()}
    low, high = rows["image_width_px-low", "llm_score"], rows["image_width_px-high", "llm_score"]
    assert (low["samples"], low["missing"]) == (6, 2)
    assert high["mean"] > low["mean"]
    assert high["low"] > low["high"]
    preferred = rows["image_width_px-high", "llm_preferred"], rows["image_width_px-low", "llm_preferred"]
    assert preferred[0]["mean"] > 0.5 > preferred[1]["mean"]
    asked = len(captioner.bodies)
    again = evaluated(tmp_path / "one", measured, llm=llm)
    assert len(captioner.bodies) == asked
    assert again["data_scores"].equals(board["data_scores"])


def test_pictures_are_shown_where_they_are_asked_for(
    measured: Path, tmp_path: Path, captioner: Captioner
) -> None:
    captioner.behave = judge
    evaluated(tmp_path, measured, llm={"url": captioner.url, "model": "judge", "pictures": True}, per_pool=2)
    parts = captioner.bodies[0]["messages"][0]["content"]
    assert [part["type"] for part in parts].count("image_url") == 1


def test_a_pool_is_judged_by_its_own_draw_alone(measured: Path, tmp_path: Path, captioner: Captioner) -> None:
    captioner.behave = judge
    llm = {"url": captioner.url, "model": "judge", "pairs": 9, "retries": 0}
    board = evaluated(tmp_path, measured, llm=llm, per_pool=2)
    rows = board["data_scores"].to_pylist()
    scored = [row for row in rows if row["metric"] == "llm_score"]
    # Samples that were drawn for other pools lie in the control as well; they are none of its two.
    assert {row["samples"] + row["missing"] for row in scored} == {2}
    assert all(row["samples"] + row["missing"] <= 2 for row in rows)


def test_the_classifier_judges_pools_by_their_texts(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("\n".join(f"number {n}, a picture of quality" for n in range(30)))
    board = evaluated(tmp_path / "run", measured, quality={"good": str(tmp_path / "good.txt")})
    rows = board["data_scores"].to_pylist()
    assert {row["metric"] for row in rows} == {"quality_good"}
    assert all(0 <= row["mean"] <= 1 and row["missing"] == 0 for row in rows)


def test_without_a_judge_it_says_what_to_give(measured: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no judge"):
        evaluated(tmp_path, measured)
