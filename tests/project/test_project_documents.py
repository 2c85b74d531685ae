"""What the README and its companions say can be done can be done."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from PIL import Image

import sluice

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/index.md"]
PAGES = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs" / "decisions").glob("*.md"))


def _blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def _commands(document: str) -> list[str]:
    lines = "\n".join(_blocks(document, "console")).splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document: str) -> None:
    from sluice.cli import main

    for command in _commands(document):
        program, name, *_ = command.split()
        known = _make_targets() if program == "make" else set(main.list_commands(click.Context(main)))
        assert program in ("make", "sluice"), command
        assert name in known, command


@pytest.mark.parametrize("document", [*DOCUMENTS, *PAGES])
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert "://" in target or (path.parent / target).exists(), f"{document} links to {target}"


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert [page for page in PAGES if "template" not in page and Path(page).name not in index] == []


def test_makefile_lists_all_that_is_asked_of_it() -> None:
    assert {"setup", "demo", "test", "check", "bench", "docs"} <= _make_targets()
    listed = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert all(
        f"\n{target} " in f"\n{listed}" for target in ("setup", "demo", "test", "check", "bench", "docs")
    )


def test_the_recipe_of_the_readme_is_read_and_its_fields_exist(tmp_path: Path) -> None:
    from sluice.operator import registry
    from sluice.recipe import load

    (text,) = _blocks("README.md", "yaml")
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert len(load(str(path)).steps) == 4
    for name in set(re.findall(r"\bimage_[a-z_]+", text)):
        assert name in registry()


def test_the_python_of_the_readme_builds_a_recipe() -> None:
    (code,) = _blocks("README.md", "python")
    namespace: dict[str, object] = {}
    exec(code.replace(".run()", ".recipe()").replace("(\n    sluice", "built = (\n    sluice"), namespace)
    assert isinstance(namespace["built"], sluice.Recipe)


def test_the_readme_can_be_followed_from_top_to_bottom(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for n in range(3):
        side = 280 + 20 * n
        noise = Image.effect_noise((side, side), 40 + 30 * n)
        noise.save(tmp_path / f"photos/{n}.png")
    (tmp_path / "pages").mkdir()
    Image.effect_noise((300, 300), 60).save(tmp_path / "pages/lake.png")
    prose = "".join(
        f"<p>The lake lay still on day {n}, and no boat moved before the wind came.</p>" for n in range(9)
    )
    (tmp_path / "pages/a.html").write_text(
        f"<html><body><article>{prose}<img src='lake.png'></article></body></html>"
    )
    (tmp_path / "recipe.yaml").write_text(_blocks("README.md", "yaml")[0])
    (tmp_path / "script.py").write_text(_blocks("README.md", "python")[0])
    lines = [line for block in _blocks("README.md", "console") for line in block.splitlines()]
    commands = [line.partition("#")[0].replace("KEY", "1").strip() for line in lines if "sluice" in line]
    assert len(commands) >= 10
    for command in [*commands, f"{sys.executable} script.py"]:
        words = shlex.split(command)
        program = [sys.executable, "-m", "sluice"] if words[0] == "sluice" else words[:1]
        done = subprocess.run(
            [*program, *words[1:]], cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_the_worked_example_of_an_operator_works(tmp_path: Path) -> None:
    operator, test = _blocks("CONTRIBUTING.md", "python")
    (entry_point,) = _blocks("CONTRIBUTING.md", "toml")
    (tmp_path / "symmetry.py").write_text(operator)
    (tmp_path / "test_symmetry.py").write_text(test)
    info = tmp_path / "symmetry-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: symmetry\nVersion: 1.0\n")
    points = tomllib.loads(entry_point)["project"]["entry-points"]["sluice.operators"]
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[sluice.operators]", *lines, ""]))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_symmetry.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_changelog_opens_with_this_version() -> None:
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == sluice.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == sluice.__version__


def test_licences_of_all_core_dependencies_are_listed() -> None:
    page = (ROOT / "docs" / "licences.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = re.split(r"[<>=]", requirement)[0]
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
        assert "unstated" not in row
    assert "scikit-image" in page


def test_constraints_cover_every_extra_and_nothing_banned() -> None:
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if not x.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    assert list(pinned) == sorted(pinned)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    names = {re.split(r"[<>=\[]", r)[0].lower() for r in wanted} - {"sluice"}
    assert names <= pinned.keys()
    assert not {"torchvision", "opencv-python", "opencv-contrib-python"} & pinned.keys()


def test_all_is_all_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    named = set(re.search(r"\[(.*)\]", everything)[1].split(","))  # type: ignore[index]
    assert named == extras.keys() - {"all", "demo", "dev"}
