"""The local engine: all results arrive, in any order, and trouble is told with its type, place and way out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_jobs import (
    BrokenOpen,
    DiesInOpen,
    Facts,
    LambdaResult,
    Outcome,
    Rows,
    RowsJob,
    Unpicklable,
)
from sluice.errors import RunError, StorageError, UsageError
from sluice.run.engine import Done, Engine, WorkerLimits
from sluice.run.local import LocalEngine, usable_cores


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    # Workers import the main module anew, here pytest; it is a matter of speed alone to have it at hand.
    with LocalEngine(2, WorkerLimits(sample_s=1.0, memory_mb=512), preload=("pytest",)) as engine:
        yield engine


def by_name(done: Iterator[Done[Rows, Outcome]]) -> dict[str, Done[Rows, Outcome]]:
    found = list(done)
    names = {d.task.name: d for d in found}
    assert len(names) == len(found)
    return names


def test_it_is_an_engine(engine: LocalEngine) -> None:
    promised: Engine = engine
    assert promised.workers == 2


def test_three_hundred_tasks_arrive_once_each_in_any_order(engine: LocalEngine) -> None:
    tasks = [Rows(f"t{i}", count=i % 5) for i in range(300)]
    done = by_name(engine.run(RowsJob(), tasks))
    assert set(done) == {t.name for t in tasks}
    for task in tasks:
        one = done[task.name]
        assert one.result is not None
        assert one.result.good == tuple(range(task.count))
        assert (one.error, one.attempts, dict(one.quarantined)) == (None, 1, {})
        assert one.seconds >= 0
        assert one.peak_rss_mb > 1


def test_workers_open_the_job_once_and_are_other_processes(engine: LocalEngine) -> None:
    results = [d.result for d in engine.run(RowsJob(), [Rows(f"t{i}", row_s=0.005) for i in range(20)])]
    pids = {r.pid for r in results if r}
    assert {r.opened for r in results if r} == {1}
    assert os.getpid() not in pids
    assert len(pids) == 2


def test_an_engine_serves_one_job_after_another(engine: LocalEngine) -> None:
    for job in (RowsJob(), RowsJob(outside_rows=True)):
        assert len(by_name(engine.run(job, [Rows("a"), Rows("b")]))) == 2


def test_no_tasks_start_no_worker(engine: LocalEngine) -> None:
    assert list(engine.run(DiesInOpen(), [])) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_are_pulled_lazily(workers: int) -> None:
    pulled, fetched = 0, 0

    def tasks() -> Iterator[Rows]:
        nonlocal pulled
        for i in range(40):
            pulled += 1
            yield Rows(f"t{i}", count=1)

    with LocalEngine(workers) as engine:
        for _ in engine.run(RowsJob(), tasks()):
            fetched += 1
            assert pulled - fetched <= 2 * workers
            time.sleep(0.002)  # a slow consumer, which the workers must not run away from
    assert (pulled, fetched) == (40, 40)


def test_big_tasks_and_results_pass(engine: LocalEngine) -> None:
    tasks = [Rows(f"t{i}", load=b"x" * (4 << 20)) for i in range(4)]
    assert len(by_name(engine.run(RowsJob(), tasks))) == 4


def test_a_sluice_error_keeps_its_type(engine: LocalEngine) -> None:
    with pytest.raises(StorageError) as caught:
        list(engine.run(RowsJob(), [Rows("full", deeds={3: "no space"})]))
    assert caught.value.where == "/full"
    assert caught.value.fix == "free some"
    assert "engine_jobs.py" in "".join(caught.value.__notes__)


def test_another_exception_names_the_task_and_shows_the_workers_traceback(engine: LocalEngine) -> None:
    with pytest.raises(RunError) as caught:
        list(engine.run(RowsJob(), [Rows("unlucky", deeds={3: "raise"})]))
    assert "NotOursError: a bug in an operator's plumbing" in str(caught.value)
    assert "unlucky" in caught.value.where
    assert "_raise" in str(caught.value)


def test_the_engine_lives_on_after_an_error(engine: LocalEngine) -> None:
    with pytest.raises(RunError):
        list(engine.run(RowsJob(), [Rows("a", deeds={0: "raise"})]))
    assert len(by_name(engine.run(RowsJob(), [Rows("b")]))) == 1


def test_trouble_in_open_is_told(engine: LocalEngine) -> None:
    with pytest.raises(StorageError, match="fetch it"):
        list(engine.run(BrokenOpen(), [Rows("a")]))


def test_death_in_open_ends_the_run_with_what_was_said(engine: LocalEngine) -> None:
    with pytest.raises(RunError, match="open is deadly") as caught:
        list(engine.run(DiesInOpen(), [Rows("a")]))
    assert "exit code 7" in str(caught.value)
    assert "--workers 0" in caught.value.fix


def test_what_cannot_be_sent_is_told(engine: LocalEngine) -> None:
    with pytest.raises(RunError, match="job cannot be sent"):
        list(engine.run(Unpicklable(), [Rows("a")]))
    with pytest.raises(RunError, match="task cannot be sent"):
        list(engine.run(RowsJob(), [Rows("a", deeds={0: lambda: None})]))  # type: ignore[dict-item]
    with pytest.raises(RunError, match="lambda"):
        list(engine.run(LambdaResult(), [Rows("a")]))


def test_workers_have_no_terminal_and_one_thread(
    engine: LocalEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    facts = next(iter(engine.run(Facts(), [Rows("a")]))).result
    assert facts == {"stdin": b"", "sigint": True, "cv2": 1, "pyarrow": 1, "omp": "1"}
    assert capfd.readouterr().out == ""


def test_leaving_early_leaves_no_worker(engine: LocalEngine) -> None:
    results = engine.run(RowsJob(), (Rows(f"t{i}", row_s=0.01) for i in range(1000)))
    first = next(results).result
    assert first is not None
    results.close()  # type: ignore[attr-defined]
    assert not _alive(first.pid)


def test_close_ends_workers_that_nobody_waits_for() -> None:
    engine = LocalEngine(1)
    results = engine.run(RowsJob(), (Rows(f"t{i}", row_s=0.01) for i in range(1000)))
    first = next(results).result
    assert first is not None
    engine.close()
    assert not _alive(first.pid)
    with pytest.raises(UsageError, match="closed"):
        engine.run(RowsJob(), [])
    results.close()  # type: ignore[attr-defined]


def test_in_process_gives_the_same_and_the_same_errors() -> None:
    tasks = [Rows(f"t{i}", count=3) for i in range(5)]
    with LocalEngine(0) as engine:
        done = list(engine.run(RowsJob(), tasks))
        assert [d.task for d in done] == tasks
        assert {d.result.pid for d in done if d.result} == {os.getpid()}
        with pytest.raises(StorageError, match="no space"):
            list(engine.run(RowsJob(), [Rows("full", deeds={3: "no space"})]))
        with pytest.raises(RunError, match="NotOursError"):
            list(engine.run(RowsJob(), [Rows("a", deeds={3: "raise"})]))


def test_negative_workers_are_refused() -> None:
    with pytest.raises(UsageError):
        LocalEngine(-1)


def test_spawned_workers_work_too() -> None:
    with LocalEngine(1, start_method="spawn") as engine:
        assert len(by_name(engine.run(RowsJob(), [Rows("a"), Rows("b")]))) == 2


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_cores_obey_the_quota(tmp_path_factory: pytest.TempPathFactory, quota: int, period: int) -> None:
    cgroup = tmp_path_factory.mktemp("cgroup")
    (cgroup / "cpu.max").write_text(f"{quota} {period}\n")
    assert usable_cores(cgroup) == min(len(os.sched_getaffinity(0)), -(-quota // period))


@pytest.mark.parametrize("text", ["max 100000\n", "", "nonsense"])
def test_cores_without_a_quota(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
    assert usable_cores(tmp_path / "none") == len(os.sched_getaffinity(0))


def test_a_script_run_ends_cleanly_and_quietly(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from engine_jobs import Rows, RowsJob\n"
        "from sluice.run.local import LocalEngine\n"
        "if __name__ == '__main__':\n"
        "    with LocalEngine(2) as engine:\n"
        "        print(len(list(engine.run(RowsJob(), [Rows(str(i)) for i in range(10)]))))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "10\n", "")


def test_a_script_that_defines_its_job_without_a_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from engine_jobs import Rows, RowsJob\n"
        "from sluice.run.local import LocalEngine\n"
        "class Own(RowsJob): pass\n"
        "with LocalEngine(2) as engine:\n"
        "    print(len(list(engine.run(Own(), [Rows(str(i)) for i in range(10)]))))\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "__main__" in ended.stderr


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
