"""Workers are killed, hang, hoard memory and lose their driver: no sample is lost and none is blamed wrongly."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine_jobs import BatchJob, Outcome, ProbingJob, Rows, RowsJob
from processes import session_of, until
from sluice.run.engine import Done, WorkerLimits
from sluice.run.local import LocalEngine

LIMITS = WorkerLimits(sample_s=1.0, memory_mb=512, stall_s=2.0)


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    # Workers import the main module anew, here pytest; it is a matter of speed alone to have it at hand.
    with LocalEngine(2, LIMITS, preload=("pytest",)) as engine:
        yield engine


def only(engine: LocalEngine, job: RowsJob, task: Rows) -> Done[Rows, Outcome]:
    (done,) = engine.run(job, [task])
    return done


def assert_all_but(done: Done[Rows, Outcome], guilty: set[int]) -> None:
    assert done.error is None
    assert done.result is not None
    assert set(done.quarantined) == set(done.result.failed) == guilty
    assert done.result.good == tuple(r for r in range(done.task.count) if r not in guilty)


@pytest.mark.parametrize(
    ("deed", "reason", "attempts"),
    [
        ("segv", "crash: SIGSEGV", 3),
        ("abort", "crash: SIGABRT", 3),
        ("exit", "crash: exit code 9", 3),
        ("leave", "crash: exit code 0", 3),
        ("kill", "crash: SIGKILL", 4),
        ("hang", "time limit", 2),
        ("hoard", "memory limit", 3),
    ],
)
def test_one_deadly_row_costs_itself_only(engine: LocalEngine, deed: str, reason: str, attempts: int) -> None:
    done = only(engine, RowsJob(), Rows("a", deeds={7: deed}))
    assert_all_but(done, {7})
    quarantine = done.quarantined[7]
    assert (quarantine.reason, quarantine.step, done.attempts) == (reason, "doing", attempts)


def test_what_a_crashing_worker_said_is_kept(engine: LocalEngine) -> None:
    detail = only(engine, RowsJob(), Rows("a", deeds={7: "segv"})).quarantined[7].detail
    assert "Segmentation fault" in detail
    assert "_segfault" in detail


@pytest.mark.parametrize("poison", [{0}, {19}, {0, 1, 2}, {3, 9, 19}, set(range(6))])
def test_several_poisonous_rows_are_each_isolated(engine: LocalEngine, poison: set[int]) -> None:
    deeds = dict.fromkeys(poison, "segv")
    done = only(engine, RowsJob(), Rows("a", deeds=deeds))
    assert_all_but(done, poison)
    assert done.attempts == 2 * len(poison) + 1


def test_mixed_trouble_in_one_task(engine: LocalEngine) -> None:
    deeds = {1: "segv", 4: "hang", 8: "hoard", 12: "kill", 19: "exit"}
    assert_all_but(only(engine, RowsJob(), Rows("a", deeds=deeds)), set(deeds))


def test_neighbouring_tasks_are_not_touched(engine: LocalEngine) -> None:
    tasks = [Rows(f"t{i}", deeds={i % 20: "segv"} if i % 7 == 0 else {}) for i in range(30)]
    for done in engine.run(RowsJob(), tasks):
        assert_all_but(done, set(done.task.deeds))


@pytest.mark.parametrize("job", [ProbingJob(outside_rows=True), BatchJob()])
def test_rows_that_the_beat_does_not_name_are_found_by_bisection(engine: LocalEngine, job: RowsJob) -> None:
    done = only(engine, job, Rows("a", count=40, deeds={5: "segv", 33: "segv"}))
    assert_all_but(done, {5, 33})
    assert done.attempts <= 30


def test_without_probes_such_a_task_fails_as_a_whole_and_the_others_do_not(engine: LocalEngine) -> None:
    tasks = [Rows("bad", deeds={5: "segv"}), *[Rows(f"t{i}") for i in range(10)]]
    done = {d.task.name: d for d in engine.run(RowsJob(outside_rows=True), tasks)}
    assert len(done) == 11
    assert done["bad"].result is None
    assert "SIGSEGV" in (done["bad"].error or "")
    assert all(d.error is None for name, d in done.items() if name != "bad")


def test_a_stall_outside_any_row_is_ended(engine: LocalEngine) -> None:
    done = only(engine, RowsJob(outside_rows=True), Rows("a", deeds={5: "hang"}))
    assert "stalled" in (done.error or "")


def test_random_kills_from_outside_lose_and_blame_nothing(engine: LocalEngine) -> None:
    """Twenty kills over forty tasks; each task is short against the time between kills."""
    tasks = [Rows(f"t{i}", count=20, row_s=0.005) for i in range(40)]
    seen: list[int] = []
    victims = iter_victims(engine, seed=2)
    stop = threading.Event()

    def shoot() -> None:
        while not stop.wait(0.2) and len(seen) < 20:
            pid = next(victims)
            if pid is not None:
                seen.append(pid)
                os.kill(pid, signal.SIGKILL)

    shooter = threading.Thread(target=shoot)
    shooter.start()
    try:
        done = list(engine.run(RowsJob(), tasks))
    finally:
        stop.set()
        shooter.join()
    assert sorted(d.task.name for d in done) == sorted(t.name for t in tasks)
    for one in done:
        assert_all_but(one, set())
    assert len(seen) >= 5
    assert sum(d.attempts for d in done) > len(tasks)


def iter_victims(engine: LocalEngine, seed: int) -> Iterator[int | None]:
    """Process ids of live workers, drawn at random."""
    chance = random.Random(seed)
    while True:
        pids = engine.worker_pids()
        yield chance.choice(pids) if pids else None


def test_a_leaking_worker_is_replaced_between_tasks() -> None:
    with LocalEngine(1, WorkerLimits(memory_mb=64)) as engine:
        job = Leaks()
        pids = [d.result for d in engine.run(job, range(4))]
    assert len(set(pids)) == 4


class Leaks:
    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def open(self) -> None: ...

    def step_name(self, step: int) -> str:
        return ""

    def __call__(self, task: int, beat: object, quarantined: object) -> int:
        self.kept.append(os.urandom(40 << 20))
        return os.getpid()


# The driver itself is stopped or killed.

DRIVER = """
import sys
sys.path.insert(0, {tests!r})
from engine_jobs import Rows, Writes
from sluice.errors import InterruptedRunError
from sluice.run.engine import WorkerLimits
from sluice.run.local import LocalEngine

if __name__ == "__main__":
    deeds = {{10: "hang"}} if "hang" in sys.argv else {{}}
    tasks = (Rows(f"t{{i}}", count=20, row_s=0.02, deeds=deeds) for i in range(1000))
    with LocalEngine(2, WorkerLimits(sample_s=600), notice=lambda text: print(text, flush=True)) as engine:
        try:
            for done in engine.run(Writes({folder!r}), tasks):
                print("done", done.task.name, flush=True)
        except InterruptedRunError as error:
            print(error, flush=True)
            sys.exit(error.exit_code)
"""


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        script = tmp_path / "driver.py"
        script.write_text(DRIVER.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path)))
        driver = subprocess.Popen(
            [sys.executable, "-W", "error", str(script), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(driver)
        return driver

    yield start
    for driver in started:
        driver.kill()
        driver.communicate()


def marks(folder: Path, kind: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{kind}")}


def test_ctrl_c_lets_tasks_under_way_finish(
    drive: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    driver = drive()
    assert until(lambda: 2 <= len(marks(tmp_path, "done")) < len(marks(tmp_path, "started")), 20)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    out, err = driver.communicate(timeout=15)
    assert (driver.returncode, err) == (130, "")
    assert "run the same command again to continue" in out
    assert "Ctrl-C again stops at once" in out
    told = {line.split()[1] for line in out.splitlines() if line.startswith("done")}
    assert marks(tmp_path, "started") == marks(tmp_path, "done") == told
    assert until(lambda: not session_of(driver.pid), 5)


def test_a_second_ctrl_c_stops_at_once(drive: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    driver = drive("hang")
    assert until(lambda: len(marks(tmp_path, "started")) == 2, 20)
    assert driver.stdout is not None
    os.killpg(driver.pid, signal.SIGINT)
    assert "finishing 2 units" in driver.stdout.readline()
    began = time.monotonic()
    os.killpg(driver.pid, signal.SIGINT)
    _, err = driver.communicate(timeout=15)
    assert (driver.returncode, err) == (130, "")
    assert time.monotonic() - began < 5
    assert until(lambda: not session_of(driver.pid), 5)


def test_ctrl_c_while_the_fork_server_imports_does_not_hurt_it(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from engine_jobs import Rows, RowsJob\n"
        "from sluice.run.local import LocalEngine\n"
        "if __name__ == '__main__':\n"
        "    with LocalEngine(1) as engine:\n"
        "        try:\n"
        "            os.killpg(0, signal.SIGINT)\n"
        "        except KeyboardInterrupt:\n"
        "            print(len(list(engine.run(RowsJob(), [Rows('a')]))))\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")


def test_no_worker_survives_a_driver_that_is_killed(
    drive: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Even where native code hangs with the interpreter lock held."""
    driver = drive("hang")
    assert until(lambda: len(marks(tmp_path, "started")) == 2, 20)
    assert len(session_of(driver.pid)) >= 4
    driver.kill()
    assert until(lambda: not session_of(driver.pid), 5)
