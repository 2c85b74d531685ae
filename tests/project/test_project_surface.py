"""The public names are real and documented, start-up stays light, and the tree holds no stray files."""

from __future__ import annotations

import importlib
import inspect
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import sluice

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ["numpy", "pyarrow", "duckdb", "cv2", "PIL", "zxingcpp", "obstore", "pydantic", "torch", "plotly"]
HEAVY_FOR_HELP = ["duckdb", "cv2", "zxingcpp", "torch", "plotly", "pyarrow.dataset"]
STARTUP_S = 0.5
FORBIDDEN_STEMS = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_public_names_are_sorted_real_and_documented() -> None:
    assert sluice.__all__ == sorted(sluice.__all__)
    page = (ROOT / "docs" / "api.md").read_text()
    for name in sluice.__all__:
        assert inspect.getdoc(getattr(sluice, name)), f"sluice.{name} has no docstring"
        assert f"## sluice.{name}\n" in page
    assert set(sluice.__all__) < set(dir(sluice))


def test_a_misspelt_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sluice' has no attribute 'raed'"):
        sluice.raed  # noqa: B018


@pytest.mark.parametrize("package", ["sluice.operator", "sluice.sample", "sluice.recipe", "sluice.storage"])
def test_what_packages_export_is_sorted_and_there(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__ == sorted(module.__all__, key=_as_ruff_sorts)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def _as_ruff_sorts(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as ruff's RUF022 orders `__all__`."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name


def _loaded(code: str, names: list[str]) -> list[str]:
    tell = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
    tell += f"print('\\nloaded', *[n for n in {names!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", tell], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1].split()[1:]


def test_importing_sluice_imports_nothing_heavy() -> None:
    assert _loaded("import sluice", HEAVY) == []


def test_help_imports_nothing_heavy() -> None:
    code = "from sluice.cli import main; main(['--help'])"
    assert _loaded(code, HEAVY_FOR_HELP) == []


def test_help_is_there_at_once() -> None:
    seconds, walls = [], []
    for _ in range(3):
        # Processor time: what else the machine does is no fault of ours. By the clock too, so that nothing waits.
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "sluice", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.monotonic() - began)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < STARTUP_S
    assert min(walls) < 5 * STARTUP_S


def test_no_file_is_named_after_nothing() -> None:
    assert [p for p in _tracked() if p.suffix == ".py" and p.stem in FORBIDDEN_STEMS] == []


def test_every_module_says_why_it_exists() -> None:
    for path in _tracked():
        if path.suffix == ".py" and "src" in path.relative_to(ROOT).parts:
            text = path.read_text()
            assert not text or text.startswith('"""'), path


def test_nothing_tells_of_the_machine_it_was_made_on() -> None:
    # Written in pieces, so that this file does not hold what it looks for.
    signs = ["/work" + "/main", "/opt" + "/wheels", "/opt" + "/pypi", "/root" + "/"]
    hosts = r"https?://[^\s/\"')]*(pypi|artifactory|nexus)[^\s\"')]*"
    for path in _tracked():
        data = path.read_bytes()
        if b"\0" in data:
            continue
        text = data.decode("utf-8", "replace")
        assert [s for s in signs if s in text] == [], path
        assert path.name == Path(__file__).name or not re.search(hosts, text), path


def test_temporary_folders_do_not_outlive_a_killed_process() -> None:
    made = re.compile(r"mkdtemp|TemporaryDirectory|NamedTemporaryFile")
    sources = [path for path in _tracked() if path.suffix == ".py" and "src" in path.relative_to(ROOT).parts]
    assert [path.name for path in sources if made.search(path.read_text())] == ["scratch.py"]


def test_files_of_tests_have_names_of_their_own() -> None:
    names = Counter(path.name for path in _tracked() if path.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == [], "pytest imports each by its name alone"
