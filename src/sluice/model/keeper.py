"""Keeps the model processes of a run alive: one a device, started again when it dies, ended with the run."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import sleep

from sluice.model.client import Serving
from sluice.model.device import device_class, torch_module
from sluice.operator import Instance
from sluice.operator.spec import Contents
from sluice.storage.scratch import scratch

LIMIT_S = 600.0
"""How long one batch may be on a device: a hung device is given up then, not a large model's slow batch."""

_SWITCH = "SLUICE_MODEL_PROCESS"
"""Environment variable: `cpu` lets a process serve models on the CPU too, `off` lets every worker load its own."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_PAUSE_S = 0.5
_SAID_BYTES = 2_000


def served_device(instances: Iterable[Instance]) -> str | None:
    """The device of these operators' models that a model process should serve; None where there is none.

    A GPU: its memory holds a model once, not once a worker. On a CPU workers share the weights as they are, by
    mapping the same files.
    """
    return served(device for i in instances for each in i.closure() for device in _devices(each))


def served(classes: Iterable[str]) -> str | None:
    """As `served_device`, of the classes (`device_class`) of the devices that models are asked to run on."""
    switch = os.environ.get(_SWITCH, "")
    found = {device.partition(" ")[0] for device in classes}
    if switch == "off" or not found:
        return None
    if "cuda" in found:
        return "cuda"
    return "cpu" if switch == "cpu" else None


def _devices(instance: Instance) -> Iterator[str]:
    for name, marker in instance.spec.marked(Contents).items():
        if marker.digest is device_class:
            yield instance.contents[name]


@contextmanager
def kept(device: str | None) -> Iterator[Keeper | None]:
    """The keeper of a device's processes for as long as the block lasts; None where no device is given."""
    if device is None:
        yield None
        return
    keeper = Keeper(device)
    try:
        yield keeper
    finally:
        keeper.close()


class Keeper:
    """The model processes of a device, one for each of its kind on this machine.

    `serving` is what workers need to know; `notes` count what happened to the processes.
    """

    def __init__(self, device: str, limit_s: float = LIMIT_S) -> None:
        self.notes: Counter[str] = Counter()
        self._key, self._limit_s, self._closed = secrets.token_bytes(32), limit_s, threading.Event()
        self._room = ExitStack()
        folder = self._room.enter_context(scratch("sluice-models"))
        visible = _visible_devices() if device == "cuda" else [""]
        addresses = tuple(str(folder / str(k)) for k in range(len(visible)))
        self.serving = Serving(device, addresses, self._key)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._threads = [
            threading.Thread(target=self._keep, args=(address, number), daemon=True)
            for address, number in zip(addresses, visible, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def pids(self) -> list[int]:
        """Process ids of the model processes, for those who watch or shoot them."""
        return [process.pid for process in list(self._processes.values())]

    def close(self) -> None:
        """End the processes."""
        self._closed.set()
        for process in list(self._processes.values()):
            process.kill()
        for thread in self._threads:
            thread.join()
        self._room.close()

    def _keep(self, address: str, visible: str) -> None:
        while not self._closed.is_set():
            with tempfile.TemporaryFile() as said:
                process = self._start(address, visible, said.fileno())
                self._processes[address] = process
                if self._closed.is_set():  # closed while this one was being started
                    process.kill()
                code = process.wait()
                assert process.stdin is not None
                process.stdin.close()
                if self._closed.is_set():
                    return
                said.seek(max(0, os.fstat(said.fileno()).st_size - _SAID_BYTES))
                words = said.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            why = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self.notes[
                f"the model process died ({why}) and was started again{f': {words}' if words else ''}"
            ] += 1
            sleep(_PAUSE_S)

    def _start(self, address: str, visible: str, said: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        if visible:
            environment["CUDA_VISIBLE_DEVICES"] = visible
        process = subprocess.Popen(
            [sys.executable, "-m", "sluice.model.process", address, self.serving.device, str(self._limit_s)],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            env=environment,
            process_group=0,  # Ctrl-C is for the driver
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(self._key.hex().encode() + b"\n")
            process.stdin.flush()
        return process


def _visible_devices() -> list[str]:
    """What `CUDA_VISIBLE_DEVICES` names each GPU that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = int(torch_module().cuda.device_count())
    return given.split(",")[:count] if given else [str(k) for k in range(count)]
