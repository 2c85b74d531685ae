"""Whole runs are killed, interrupted and starved of space; the same command ends in the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from whole_runs import OF_THE_RUN, Command, assert_gone, contents, leftovers, results, tar_source

from processes import session_of, until, workers_of
from sluice.storage import Location

SHARDS, SAMPLES = 24, 25


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves that nobody disturbs: bytes of output and store, and how large they are."""

    command: Command
    bytes: tuple[dict[str, str], dict[str, str]]
    pages: dict[str, int]
    largest_of_store: int


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tar_source(tmp_path_factory.mktemp("source") / "in", SHARDS, SAMPLES)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def undisturbed(source: Path, place: Path) -> Undisturbed:
    """A finished run, removed when all is known of it.

    The lock holds the output's path, so every other run of these tests goes to the same place.
    """
    command = Command(place, str(source), str(place / "out"), str(place / "store"))
    summary = json.loads(command.finish())
    assert summary["read"] == SHARDS * SAMPLES
    assert min(summary[fate] for fate in ("kept", "dropped", "duplicate", "failed")) > 20
    largest = max(p.stat().st_size for p in Path(command.store).rglob("*.parquet"))
    assert largest < (Path(command.output) / "00000.tar").stat().st_size
    pages = {url: size_of(url) for url in (command.output, command.store)}
    found = Undisturbed(command, (results(command.output), contents(command.store)), pages, largest)
    put_away(command)
    return found


def put_away(command: Command) -> None:
    """Make room for a fresh run in the same place."""
    for url in (command.output, command.store):
        Location(url).delete_tree()


@pytest.fixture
def fresh(undisturbed: Undisturbed) -> Iterator[Command]:
    yield undisturbed.command
    put_away(undisturbed.command)


def assert_same(command: Command, undisturbed: Undisturbed) -> None:
    assert leftovers(command.output) == leftovers(command.store) == []
    assert (results(command.output), contents(command.store)) == undisturbed.bytes


# Killed.


def stage(command: Command) -> tuple[str, int]:
    """Which step a run is in, seen from outside, and how far: fragments or shards done."""
    store, output = Path(command.store), Path(command.output)
    tables = [*store.glob("samples/*")]
    shards = len([*output.glob("_sluice/shards/*.json")])
    whole = sum((table / "index.json").exists() for table in tables)
    if shards or (output / "_sluice/packing.parquet").exists():
        return "writing", shards
    if whole == 2:
        return "deciding", 0
    if len(tables) > whole:
        return "compacting", whole
    count = len([*store.glob("fragments/*/*.parquet")])
    return ("measuring" if whole == 0 else "measuring again"), count


def moments(seed: int) -> list[tuple[str, int]]:
    """Ten random moments over a run's steps, in the order in which it comes to them."""
    chance = random.Random(seed)
    first = sorted(chance.sample(range(2 * SHARDS), 3))
    second = sorted(chance.sample(range(2 * SHARDS, 3 * SHARDS), 1))
    shards = sorted(chance.sample(range(1, 22), 3))
    return [
        *(("measuring", n) for n in first),
        ("compacting", 0),
        *(("measuring again", n) for n in second),
        ("deciding", 0),
        *(("writing", n) for n in [0, *shards]),
    ]


ORDER = ("measuring", "compacting", "measuring again", "deciding", "writing")


def rank(at: tuple[str, int]) -> tuple[int, int]:
    return ORDER.index(at[0]), at[1]


def killed_at(command: Command, moment: tuple[str, int], delay_s: float) -> str:
    """Start a run, kill it once it has come to the moment by work of its own; the step it was in then."""
    before = rank(stage(command)) if Path(command.store).exists() else (-1, 0)
    driver = command.start()

    def reached() -> bool:
        now = rank(stage(command))
        return (now >= rank(moment) and now > before) or driver.poll() is not None

    assert until(reached, 60)
    time.sleep(delay_s)  # where within the step is left to chance
    driver.send_signal(signal.SIGSTOP)
    step, _ = stage(command)
    assert driver.poll() is None, f"the run was over before {moment}: {driver.communicate()}"
    command.kill(driver)
    return step


@pytest.mark.slow
def test_killed_ten_times_a_run_ends_in_the_same_bytes(fresh: Command, undisturbed: Undisturbed) -> None:
    """One run, killed on its way through every step and continued each time by the same command."""
    chance = random.Random(11)
    landed: Counter[str] = Counter()
    unfinished = 0
    began = time.monotonic()
    for moment in moments(seed=7):
        short = moment[0] in ("compacting", "deciding")
        landed[killed_at(fresh, moment, chance.uniform(0, 0.002 if short else 0.03))] += 1
        unfinished += len(leftovers(fresh.output)) + len(leftovers(fresh.store))
    fresh.finish()
    took_s = time.monotonic() - began
    print(f"kills: {dict(landed)}; unfinished files left by them: {unfinished}; {took_s:.1f} s")  # noqa: T201
    assert sum(landed.values()) == 10
    assert len(landed) >= 4, landed
    assert_same(fresh, undisturbed)


@pytest.mark.slow
def test_workers_killed_in_mid_unit_are_replaced_and_no_sample_is_blamed(
    fresh: Command, undisturbed: Undisturbed
) -> None:
    chance = random.Random(5)
    driver = fresh.start()
    shot: set[int] = set()
    for count in sorted(chance.sample(range(1, 2 * SHARDS - 4), 6)):
        assert until(lambda n=count: stage(fresh) >= ("measuring", n) or driver.poll() is not None, 60)
        for victim in workers_of(driver.pid)[:1]:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                shot.add(victim)
    out, err = driver.communicate(timeout=60)
    assert (driver.returncode, err) == (0, "")
    assert len(shot) >= 3
    assert set(json.loads(out)["failures"]) == {"truncated"}  # of the source's own making
    assert_gone(driver)
    assert_same(fresh, undisturbed)


# Interrupted.


@pytest.mark.parametrize("moment", [("measuring", 5), ("writing", 3)])
def test_ctrl_c_ends_with_130_and_the_same_command_finishes(
    fresh: Command, undisturbed: Undisturbed, moment: tuple[str, int]
) -> None:
    driver = fresh.start()
    assert until(lambda: rank(stage(fresh)) >= rank(moment) or driver.poll() is not None, 60)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    out, err = driver.communicate(timeout=30)
    assert driver.returncode == 130, out + err
    assert "run the same command again to continue" in out + err
    assert "Traceback" not in out + err
    assert_gone(driver)
    assert leftovers(fresh.output) == leftovers(fresh.store) == []
    fresh.finish()
    assert_same(fresh, undisturbed)


def test_ctrl_c_before_any_work_says_so_in_one_line(fresh: Command, undisturbed: Undisturbed) -> None:
    driver = fresh.start()
    assert until(lambda: len(session_of(driver.pid)) > 1, 30)
    os.killpg(driver.pid, signal.SIGINT)
    out, err = driver.communicate(timeout=30)
    assert driver.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert_gone(driver)
    fresh.finish()
    assert_same(fresh, undisturbed)


# Starved.


def size_of(folder: str) -> int:
    """Bytes that a file system of 4 KiB pages needs for all files below."""
    return sum(-(-p.stat().st_size // 4096) * 4096 for p in Path(folder).rglob("*") if p.is_file())


@contextmanager
def file_system(folder: Path, options: str) -> Iterator[Callable[[str], None]]:
    """A file system of its own mounted at `folder`; the callable mounts it anew with other options."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield lambda more: run_quietly("mount", "-o", f"remount,{more}", str(folder))
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run_quietly(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def may_mount() -> bool:
    """Whether this user may mount file systems (root with all its capabilities)."""
    with (
        TemporaryDirectory() as folder,
        suppress(subprocess.CalledProcessError, FileNotFoundError),
        file_system(Path(folder) / "probe", "size=64k"),
    ):
        return True
    return False


LIMIT_FILES = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


def starve_by_limit(command: Command, size: int) -> Command:
    """The command in a process that may write no file beyond `size` bytes."""
    return replace(command, prefix=(sys.executable, "-c", LIMIT_FILES, str(size)))


def assert_starved(command: Command, expected: dict[str, dict[str, str]], said: str) -> None:
    """The run ends with a clear error, and whatever has its final name is whole."""
    driver = command.start()
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 1, out + err
    message = json.loads(out)
    assert said in message["error"], message
    assert message["where"].startswith((command.output, command.store))
    assert message["fix"]
    assert "Traceback" not in out + err
    assert_gone(driver)
    for url, good in expected.items():
        found = {n: d for n, d in contents(url).items() if not n.endswith(".tmp") and n not in OF_THE_RUN}
        assert found.items() <= good.items(), sorted(found.items() - good.items())


@pytest.mark.parametrize("where", ["store", "output"])
def test_no_space_left(fresh: Command, undisturbed: Undisturbed, where: str) -> None:
    """The disk of the store fills while fragments are committed, that of the output while shards are written."""
    whole = dict(zip((fresh.output, fresh.store), undisturbed.bytes, strict=True))
    folder = fresh.store if where == "store" else fresh.output
    if not may_mount():  # the nearest thing that any user can have: files may not grow beyond a size
        largest = 4096 if where == "store" else undisturbed.largest_of_store
        assert_starved(starve_by_limit(fresh, largest), whole, "the file would exceed the allowed size")
        fresh.finish()
        assert_same(fresh, undisturbed)
        return
    size = (undisturbed.pages[folder]) // 2
    with file_system(Path(folder), f"size={size}") as remount:
        assert_starved(fresh, whole, "no space left on the device")
        kept = contents(folder)
        assert len(kept) > 5
        remount("size=1g")
        fresh.finish()
        assert_same(fresh, undisturbed)


@pytest.mark.parametrize("where", ["store", "output"])
def test_files_that_may_not_grow(fresh: Command, undisturbed: Undisturbed, where: str) -> None:
    whole = dict(zip((fresh.output, fresh.store), undisturbed.bytes, strict=True))
    largest = 4096 if where == "store" else undisturbed.largest_of_store
    assert_starved(starve_by_limit(fresh, largest), whole, "the file would exceed the allowed size")
    fresh.finish()
    assert_same(fresh, undisturbed)


@pytest.mark.parametrize("where", ["store", "output"])
def test_a_read_only_place_is_an_error_before_any_work(fresh: Command, where: str) -> None:
    folder = Path(fresh.store if where == "store" else fresh.output)
    with ExitStack() as stack:
        if may_mount():
            stack.enter_context(file_system(folder, "ro"))
        else:  # modes mean something to users who may not mount
            folder.mkdir(mode=0o555)
        driver = fresh.start()
        out, err = driver.communicate(timeout=60)
        assert driver.returncode == 1, out + err
        message = json.loads(out)
        assert "read-only" in message["error"] or "permission denied" in message["error"]
        assert message["where"] == str(folder)
        assert not any(name.endswith(".parquet") for name in contents(fresh.store))
