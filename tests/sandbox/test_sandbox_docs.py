"""The manual's page about the sandbox: its example is a workflow, and what it lists is all there is."""

from __future__ import annotations

import re
from pathlib import Path

from sluice.sandbox.export import FORMATS
from sluice.sandbox.train.placeholders import KINDS
from sluice.sandbox.workflow.config import load_workflow, read_workflow

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/sandbox.md").read_text()


def test_the_example_is_a_workflow() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    workflow = read_workflow(example)
    assert [job.hook.name for job in workflow.jobs] == ["pools", "train", "evaluate_model", "compare"]


def test_placeholders_and_formats_are_all_told() -> None:
    assert set(KINDS) <= set(re.findall(r"`\{(\w+)\}`", PAGE))
    assert set(FORMATS) <= set(re.findall(r"^\| `([\w-]+)`", PAGE, re.MULTILINE))


def test_examples_are_workflows() -> None:
    for path in [*(ROOT / "examples/sandbox").glob("*.yaml"), *(ROOT / "recipes/sandbox").glob("*.yaml")]:
        assert load_workflow(str(path)).jobs
