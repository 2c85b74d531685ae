"""A clip over which its worker dies as it is written is a counted failure; those that merely take long are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys import balanced, fates_of

from made_videos import made, scenes
from sluice.recipe.load import load
from sluice.run import run
from sluice.run.engine import WorkerLimits
from sluice.run.local import LocalEngine
from sluice.writers.registry import writers

WRITER = '''
"""Someone's writer, which takes its process down over one clip, as a fault in an encoder would, and its time."""
import ctypes
import time
from sluice.writers.clips import ClipsWriter

class DeadlyClips(ClipsWriter):
    """Clips, but for what begins after 2 s in `deadly.mp4`; each of `slow.mp4` takes more than a second."""
    format = "deadly-clips"

    def _cut(self, *given):
        for wanted, clip in super()._cut(*given):
            if "deadly" in wanted.media.uri and wanted.media.start_s > 2:
                ctypes.string_at(0)
            if "slow" in wanted.media.uri:
                time.sleep(1.2)
            yield wanted, clip
'''


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The format of a writer that is installed for this test."""
    place = tmp_path / "installed"
    (place / "deadly-1.dist-info").mkdir(parents=True)
    (place / "deadly.py").write_text(WRITER)
    (place / "deadly-1.dist-info/METADATA").write_text("Name: deadly\nVersion: 1\n")
    (place / "deadly-1.dist-info/entry_points.txt").write_text(
        "[sluice.writers]\ndeadly-clips = deadly:DeadlyClips\n"
    )
    monkeypatch.syspath_prepend(str(place))
    writers.cache_clear()
    yield "deadly-clips"
    writers.cache_clear()


def test_a_crash_while_a_clip_is_written_costs_that_clip(tmp_path: Path, deadly: str) -> None:
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("a", "deadly", "z")):
        (tmp_path / f"in/{name}.mp4").write_bytes(made(scenes([75, 75], seed=number, pan_px=1)))
    recipe = load("video-split", [f"write.format={deadly}", "max_failed=100%"], source=str(tmp_path / "in"))
    found = run(recipe, output=str(tmp_path / "out"), workers=2, quiet=True)
    assert balanced(found)
    assert (found["kept"], found["failed"]) == (5, 1)
    assert found["failures"] == {"writing deadly-clips: crash: SIGSEGV": 1}
    fates = fates_of(tmp_path / "out")
    assert [key for key, row in fates.items() if row["fate"] == "failed"] == ["deadly_0001"]
    assert len(list((tmp_path / "out/clips").iterdir())) == 5
    assert not list((tmp_path / "out").glob(".*")), "nothing is left of the attempts that died"


def test_a_source_may_take_longer_to_cut_than_a_worker_may_stand_still(tmp_path: Path, deadly: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/slow.mp4").write_bytes(made(scenes([75] * 4, pan_px=1)))
    recipe = load("video-split", [f"write.format={deadly}"], source=str(tmp_path / "in"))
    with LocalEngine(1, WorkerLimits(stall_s=4.0)) as engine:
        found = run(recipe, output=str(tmp_path / "out"), engine=engine, quiet=True)
    assert (found["kept"], found["failed"]) == (4, 0)
