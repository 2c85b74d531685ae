"""`sluice split` is the ready recipe with its settings as options."""

from __future__ import annotations

import json
from pathlib import Path

from commands import sluice

from made_videos import made, numbered


def test_its_options_are_the_recipes_settings(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, first in (("a.mp4", 0), ("b.mp4", 500)):
        (tmp_path / "in" / name).write_bytes(made(numbered(125, first=first)))
    options = ("--by", "stride", "--length", "3", "--min-length", "1", "--crf", "30", "--keep-dropped")
    rules = ("--keep", "video_duration_s >= 2.5", "--keep", "video_width_px >= 100")
    done = sluice("split", "in", "out", *options, *rules, "--workers", "0", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    summary = done.document
    assert (summary["kept"], summary["dropped_written"]["samples"]) == (2, 2)
    assert {rule: n for rule, n in summary["by_rule"].items() if n} == {"video_duration_s >= 2.5": 2}
    assert summary["yields"][-1]["name"] == "video_width_px >= 100"
    assert json.loads((tmp_path / "out/summary.json").read_bytes())["totals"]["num_clips_filtered"] == 2
    told = sluice("split", "in", "out", *options, *rules, "--workers", "0", cwd=tmp_path)
    assert "2 samples written apart" in told.out
    assert sluice("verify", "out", cwd=tmp_path).code == 0
    without = sluice("split", "in", "out", *options[:-1], *rules, "--workers", "0", cwd=tmp_path)
    assert without.code == 2
    assert "--update" in without.err


def test_a_wrong_rule_is_told_as_it_was_given(tmp_path: Path) -> None:
    done = sluice("split", "in", "out", "--keep", "video_duration_s >", cwd=tmp_path)
    assert done.code == 2
    assert '--set steps.4={"keep": {"rule": "video_duration_s >"}}: expected a field' in done.err


def test_an_option_of_the_other_way_is_refused(tmp_path: Path) -> None:
    done = sluice("split", "in", "out", "--by", "stride", "--trim", "1", cwd=tmp_path)
    assert done.code == 2
    assert "--trim means nothing with --by stride" in done.err
