"""The model process of a device: loads each model once and runs the requests of all workers, batch by batch in turn.

Started by `model.keeper` as `python -m sluice.model.process ADDRESS DEVICE LIMIT_S`, with a key on its standard
input, whose end is its own.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import closing, suppress
from functools import cache
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from multiprocessing.reduction import recv_handle
from pathlib import Path

from sluice.errors import OperatorError, SluiceError
from sluice.model import runner
from sluice.model.client import Ask, Placed, Reply, Request, Rows, Shared
from sluice.model.runner import Runner, notes_taken

LOST_DEVICE = 70
"""Exit code where a device is of no more use to this process; another process can start it afresh."""

_LOST = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "device-side assert")

_loading = threading.Lock()


def main(address: str, device: str, limit_s: float) -> None:
    """Serve requests at an address. A batch that takes longer than `limit_s` ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what Ctrl-C means
    key = bytes.fromhex(sys.stdin.readline())
    threading.Thread(target=_end_with_driver, daemon=True).start()
    runner.batch_limit_s = limit_s
    with suppress(FileNotFoundError):
        Path(address).unlink()  # of the process before this one
    with Listener(address, "AF_UNIX", backlog=256, authkey=key) as listener:
        while True:
            # Somebody died while connecting, or did not know the key.
            with suppress(OSError, EOFError, AuthenticationError):
                link = listener.accept()
                threading.Thread(target=_attend, args=(link, device), daemon=True).start()


def _end_with_driver() -> None:
    sys.stdin.read()
    os._exit(0)


def _attend(link: Connection, device: str) -> None:
    """One worker's requests, until it hangs up."""
    with link, suppress(EOFError, OSError), closing(Shared(recv_handle(link))) as shared:
        runner.tells.tell = shared.tell
        while True:
            reply = _served(link.recv(), shared, device)
            shared.tell(False)
            link.send(reply)
            if any(sign in str(reply.error) for sign in _LOST):
                os._exit(LOST_DEVICE)


def _served(request: Request, shared: Shared, device: str) -> Reply:
    try:
        with _loading, runner.under_way():
            model = _model(request.ask, device)
        if request.rows is None:
            return Reply()
        results = model(_rows(request.rows, shared, request.size_bytes))
    except SluiceError as error:
        return Reply(error=error)
    except Exception as error:  # noqa: BLE001 - the worker that asked is told, and its sample fails
        return Reply(error=OperatorError(type(error).__name__, str(error)))
    placed, size = shared.put(results)
    return Reply(placed, size, notes_taken())


def _rows(placed: list[dict[str, Placed]], shared: Shared, size_bytes: int) -> Rows:
    arrays = iter(shared.get([place for row in placed for place in row.values()], size_bytes))
    return [{name: next(arrays) for name in row} for row in placed]


@cache
def _model(ask: Ask, device: str) -> Runner:
    return Runner(
        ask.load, device=device, dtype=ask.dtype, batch_size=ask.batch_size, compile=ask.compile
    ).open()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
