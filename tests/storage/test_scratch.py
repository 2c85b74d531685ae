"""Temporary folders: those of killed processes go, those of living ones stay."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sluice.storage.scratch import scratch

HOLDER = """
from sluice.storage.scratch import scratch
with scratch("some-work") as folder:
    (folder / "part").write_bytes(b"x")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], Path]:
    """A process with such a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_it_is_gone_at_the_end_whatever_happens(room: Path) -> None:
    def work() -> None:
        with scratch("some-work") as folder:
            assert folder.parent == room
            (folder / "part").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert not list(room.iterdir())


def test_of_a_living_process_it_stays_and_of_a_killed_one_it_goes(room: Path) -> None:
    (room / "some-work.txt").write_text("of somebody")
    process, theirs = holder()
    with scratch("some-work") as ours:
        assert ours != theirs
        assert (theirs / "part").exists()
    process.kill()
    process.communicate()
    assert (theirs / "part").exists()
    with scratch("other-work"):
        assert theirs.exists(), "of another purpose"
    with scratch("some-work"):
        assert not theirs.exists()
    assert [p.name for p in room.iterdir()] == ["some-work.txt"]


def test_many_at_once_leave_each_other_alone(room: Path) -> None:
    def work(number: int) -> bool:
        with scratch("some-work") as folder:
            (folder / "part").write_text(str(number))
            return (folder / "part").read_text() == str(number)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(400)))
    assert not list(room.iterdir())
