"""Help costs little, every command has an example, and every example works on the demo's output."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import sluice

from caption_server import Captioner
from sluice.cli.group import VERBS

# Anything of these would make `sluice --help` slow.
HEAVY = ("numpy", "pyarrow", "duckdb", "cv2", "PIL", "obstore", "pydantic", "rich", "yaml")


def test_help_lists_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    done = sluice("--help", cwd=tmp_path)
    assert done.code == 0
    for verb in VERBS:
        assert re.search(rf"^  {verb} +\w", done.out, re.MULTILINE)
    script = f"""
import sys
from sluice.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def examples(help_text: str) -> list[str]:
    """The lines below `Example:` or `Examples:`."""
    _, found, below = help_text.partition("Example")
    assert found, "no example"
    return [line.strip() for line in below.splitlines()[1:] if line.strip().startswith("sluice ")]


@pytest.fixture(scope="session")
def video_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo-video` leaves."""
    output = tmp_path_factory.mktemp("video") / "demo-video"
    script = Path(__file__).parents[2] / "examples" / "demo_video.py"
    command = [sys.executable, str(script), "--output", str(output)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "4 videos = 3 split + 1 without a clip" in ran.stdout
    assert "9 clips = 7 kept + 2 dropped (1 black, 1 frozen)" in ran.stdout
    shutil.rmtree(output / "dataset")
    return output


@pytest.mark.parametrize("verb", VERBS)
def test_every_example_works_on_the_demo(
    finished_demo: Path, video_demo: Path, tmp_path: Path, captioner: Captioner, verb: str
) -> None:
    # Examples write beside each other; each command gets the demo as the run left it.
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/source").symlink_to(finished_demo / "demo/source")
    shutil.copytree(finished_demo / "demo/curated", tmp_path / "demo/curated")
    shutil.copytree(finished_demo / "demo/sluice-store", tmp_path / "demo/sluice-store")
    if verb in ("split", "shard", "caption"):
        shutil.copytree(video_demo, tmp_path / "demo-video")
        if verb == "split":
            shutil.rmtree(tmp_path / "demo-video/clips")
    (tmp_path / "examples").symlink_to(Path(__file__).parents[2] / "examples")
    help_text = sluice(verb, "--help", cwd=tmp_path, COLUMNS="200").out
    assert "--json" in help_text
    found = examples(help_text)
    assert found
    for line in found:
        # A model is asked on this machine; ours has the same protocol and another port.
        words = shlex.split(line.replace("http://127.0.0.1:8000/v1", captioner.url))
        assert words[:2] == ["sluice", verb]
        done = sluice(*words[1:], cwd=tmp_path)
        assert done.code == 0, f"{line}\n{done.err}"
        assert done.out.strip()
        assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "words",
    [
        "plan images --source demo/source --output demo/curated",
        "select demo/curated --keep 'image_width_px >= 400'",
        "why demo/curated originals/coffee",
        "show demo/curated --samples 1",
        "show demo/source#originals/coffee",
        "report demo/curated",
        "verify demo/curated",
        "ops image_sharpness",
        "ops --modality text",
    ],
)
def test_json_is_one_document_on_standard_output(demo: Path, words: str) -> None:
    done = sluice(*shlex.split(words), "--json", cwd=demo)
    assert done.code == 0, done.err
    document = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert isinstance(document, dict)


def test_version(tmp_path: Path) -> None:
    import sluice as package

    assert sluice("--version", cwd=tmp_path).out == f"sluice {package.__version__}\n"
