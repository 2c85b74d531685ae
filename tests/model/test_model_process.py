"""A model process serves many workers, gives their results bit for bit, and survives what its rows do to it.

The seconds go to processes that start again after they were killed: each imports torch.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import model_loads
import numpy as np
import pytest

from processes import until
from sluice.errors import MissingError, OperatorError
from sluice.model import client
from sluice.model.keeper import Keeper
from sluice.model.runner import Load, Runner, notes_taken

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="model processes are for Linux")


def rows_of(*numbers: float, length: int = 6) -> list[dict[str, np.ndarray]]:
    return [{"x": np.full((2, length // 2), n, np.float32)} for n in numbers]


@contextmanager
def serving(limit_s: float = 60.0) -> Iterator[Keeper]:
    keeper = Keeper("cpu", limit_s)
    client.serve(keeper.serving)
    try:
        yield keeper
    finally:
        client.serve(None)
        keeper.close()


@pytest.fixture(scope="module")
def keeper() -> Iterator[Keeper]:
    """A model process on the CPU that all tests of this module share, whatever they do to it."""
    with serving() as found:
        yield found


def served(function: str, path: str = "m", **settings: object) -> Runner:
    return Runner(Load(f"model_loads:{function}", path), **settings)  # type: ignore[arg-type]


def here(function: str, path: str = "m", **settings: object) -> Runner:
    """The same model in this process."""
    known, client._serving = client._serving, None
    try:
        return Runner(Load(f"model_loads:{function}", path), device="cpu", **settings)  # type: ignore[arg-type]
    finally:
        client._serving = known


def test_results_are_those_of_a_model_of_ones_own(keeper: Keeper) -> None:
    model_loads.LOADED.clear()
    rows = [*rows_of(*range(13)), *rows_of(3, 4, length=8)]
    found = served("matrix").open()(rows)
    assert model_loads.LOADED == []
    for a, b in zip(found, here("matrix")(rows), strict=True):
        assert np.array_equal(a, b)
    assert served("matrix")([]) == []


def test_requests_grow_and_shrink(keeper: Keeper) -> None:
    ask = served("matrix")
    for count in (1, 300, 2, 1000, 3):
        rows = rows_of(*range(count))
        for a, b in zip(ask(rows), here("matrix")(rows), strict=True):
            assert np.array_equal(a, b)


def test_many_askers_each_get_their_own(keeper: Keeper) -> None:
    wrong: list[int] = []

    def ask(worker: int) -> None:
        server = client.Server("cpu", keeper.serving.addresses[0], keeper.serving.key)
        runner = served("matrix")
        expected = here("matrix")(rows_of(worker))[0]
        for _ in range(20):
            found, _notes = server.run(runner.ask, rows_of(worker))
            if not np.array_equal(found[0], expected):
                wrong.append(worker)
        server.hang_up()

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_errors_travel(keeper: Keeper) -> None:
    with pytest.raises(MissingError, match="not on this machine") as raised:
        served("absent").open()
    assert raised.value.fix == "`sluice models fetch it`"
    with pytest.raises(OperatorError, match="not this one") as error:
        served("mortal")(rows_of(1, 14))
    assert error.value.reason == "ValueError"


def test_notes_travel(keeper: Keeper) -> None:
    notes_taken()
    served("narrow", batch_size=8)(rows_of(*range(5)))
    assert notes_taken() == {"narrow: out of memory, batches of 8 halved to 4": 1}


def test_a_request_is_asked_again_when_the_process_was_killed(keeper: Keeper) -> None:
    runner = served("matrix")
    runner(rows_of(1))
    (pid,) = keeper.pids()
    os.kill(pid, signal.SIGKILL)
    assert np.array_equal(runner(rows_of(2))[0], here("matrix")(rows_of(2))[0])
    assert keeper.pids() != [pid]
    assert any("SIGKILL" in note for note in keeper.notes)


def test_what_kills_the_process_twice_is_an_error_and_the_next_request_works(
    keeper: Keeper, tmp_path: Path
) -> None:
    deaths = tmp_path / "deaths"
    runner = served("mortal", str(deaths))
    with pytest.raises(OperatorError, match="took it down twice"):
        runner(rows_of(1, 13, 2))
    assert deaths.read_bytes() == b".."
    assert np.array_equal(runner(rows_of(2))[0], here("mortal")(rows_of(2))[0])


def test_a_device_that_is_lost_ends_the_process(keeper: Keeper) -> None:
    runner = served("mortal")
    (before,) = keeper.pids()
    with pytest.raises(OperatorError, match="illegal memory access"):
        runner(rows_of(15))
    assert until(lambda: keeper.pids() != [before], 20)
    assert len(runner(rows_of(1))) == 1


def test_a_batch_that_never_ends_is_given_up() -> None:
    with serving(limit_s=1.0):
        runner = served("mortal")
        runner(rows_of(1))
        started = time.monotonic()
        with pytest.raises(OperatorError, match="took it down twice"):
            runner(rows_of(16))
        assert time.monotonic() - started < 60


def test_the_process_ends_with_its_keeper_and_leaves_nothing() -> None:
    with serving() as keeper:
        served("matrix")(rows_of(1))
        pids = keeper.pids()
        folder = Path(keeper.serving.addresses[0]).parent
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not folder.exists()


def test_the_process_ends_with_a_driver_that_is_killed_and_the_next_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    script = (
        "import sys, time\n"
        "from sluice.model.keeper import Keeper\n"
        "k = Keeper('cpu')\n"
        "while not k.pids(): time.sleep(.01)\n"
        "print(k.pids()[0], flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        pid = int(driver.stdout.readline())
        driver.kill()
    assert until(lambda: not Path(f"/proc/{pid}").exists(), 20)
    assert [path.name.rpartition("-")[0] for path in tmp_path.iterdir()] == ["sluice-models"]
    Keeper("cpu").close()
    assert not list(tmp_path.iterdir())


def test_strangers_are_not_served(keeper: Keeper) -> None:
    from multiprocessing import AuthenticationError
    from multiprocessing.connection import Client

    served("matrix")(rows_of(1))
    with pytest.raises(AuthenticationError):
        Client(keeper.serving.addresses[0], "AF_UNIX", authkey=b"guess")
    assert len(served("matrix")(rows_of(1))) == 1
