"""Asks the model process of a device: rows go there and results come back through shared memory."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection
from multiprocessing.reduction import send_handle
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import OperatorError, SluiceError

if TYPE_CHECKING:
    from sluice.model.runner import BatchSize, Load

Rows = Sequence[Mapping[str, NDArray[Any]]]

TRIES = 2
"""A request that takes the process down twice is an error; the evaluator then tries its rows one by one, and what
still kills the process is that sample's failure. A request that only waited its turn is asked again."""

_BYSTANDER = 100
"""How often a request may meet a process that died of others: beyond that something else is wrong."""

START_S = 300.0
"""How long a process may take until it answers: it imports torch, and starts again after it died."""


@dataclass(frozen=True)
class Ask:
    """A model as a runner asks for it; equal asks are one model in the process."""

    load: Load
    dtype: str
    batch_size: BatchSize
    compile: bool


@dataclass(frozen=True)
class Placed:
    """An array in the shared memory."""

    offset: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """Rows for a model, or None: only load it. The arrays lie in `size_bytes` of shared memory."""

    ask: Ask
    rows: list[dict[str, Placed]] | None = None
    size_bytes: int = 0


@dataclass(frozen=True)
class Reply:
    """Results, where they lie, and what is worth noting; or the error."""

    results: Sequence[Placed] = ()
    size_bytes: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)
    error: SluiceError | None = None


@dataclass(frozen=True)
class Serving:
    """A device that model processes serve: picklable, for workers. One address for each device of its kind."""

    device: str
    addresses: tuple[str, ...]
    key: bytes


class Shared:
    """Shared memory that belongs to no name: it is gone with the last process that holds it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map: mmap.mmap | None = None

    @classmethod
    def new(cls) -> Shared:
        """An empty piece of memory."""
        return cls(os.memfd_create("sluice-rows"))

    def room(self, size_bytes: int) -> mmap.mmap:
        """The memory, mapped here, with at least so many bytes."""
        have = os.fstat(self.fd).st_size
        if have < size_bytes:
            os.ftruncate(self.fd, size_bytes)
        if self._map is None or len(self._map) < size_bytes:
            self._map = mmap.mmap(self.fd, max(size_bytes, have))
        return self._map

    def put(self, arrays: Sequence[NDArray[Any]]) -> tuple[list[Placed], int]:
        """Write arrays one after another from the start; where they lie, and how long it is all together."""
        placed, offset = [], _ALIGN
        for array in arrays:
            placed.append(Placed(offset, array.dtype.str, array.shape))
            offset += -(-array.nbytes // _ALIGN) * _ALIGN
        memory = self.room(max(offset, 1))
        for place, array in zip(placed, arrays, strict=True):
            _view(memory, place)[...] = array
        return placed, offset

    def get(self, placed: Sequence[Placed], size_bytes: int) -> list[NDArray[Any]]:
        """The arrays that lie there, as views: valid until the next `put` on either side."""
        memory = self.room(max(size_bytes, 1))
        return [_view(memory, place) for place in placed]

    def tell(self, is_under_way: bool) -> None:
        """Say in the first byte whether the work of these rows is what runs now."""
        self.room(1)[0] = is_under_way

    @property
    def is_under_way(self) -> bool:
        """Whether their work was running when this was last told: also after whoever told it died."""
        return self.room(1)[0] == 1

    def close(self) -> None:
        """Let go of the memory; views that are still about keep their map alive."""
        self._map = None
        os.close(self.fd)


_ALIGN = 64


def _view(memory: mmap.mmap, place: Placed) -> NDArray[Any]:
    count = int(np.prod(place.shape))
    flat: NDArray[Any] = np.frombuffer(memory, np.dtype(place.dtype), count, place.offset)
    return flat.reshape(place.shape)


_serving: Serving | None = None
_servers: dict[str, Server] = {}


def serve(serving: Serving | None) -> None:
    """Let this process ask that model process from now on, instead of loading models itself; None: no more."""
    global _serving
    _serving = serving
    for server in _servers.values():
        server.hang_up()
    _servers.clear()


def server_for(device: str) -> Server | None:
    """The model process that serves the device that a recipe names (`auto`: whichever is served), if any does."""
    if _serving is None or device not in ("auto", _serving.device):
        return None
    # Workers spread over the devices; a worker stays with its own.
    address = _serving.addresses[os.getpid() % len(_serving.addresses)]
    return _servers.setdefault(address, Server(_serving.device, address, _serving.key))


class Server:
    """The other end: one connection and one piece of shared memory, made when they are wanted."""

    def __init__(self, device: str, address: str, key: bytes) -> None:
        self.device, self._address, self._key = device, address, key
        self._link: Connection | None = None
        self._shared: Shared | None = None

    def open(self, ask: Ask) -> None:
        """Have the model loaded; raises what loading raises."""
        self._answered(ask, None)

    def run(self, ask: Ask, rows: Rows) -> tuple[list[NDArray[Any]], Mapping[str, int]]:
        """One float32 array a row, and notes of the process."""
        if not rows:
            return [], {}
        reply = self._answered(ask, rows)
        assert self._shared is not None
        return [view.copy() for view in self._shared.get(reply.results, reply.size_bytes)], reply.notes

    def _answered(self, ask: Ask, rows: Rows | None) -> Reply:
        own = 0
        for _ in range(_BYSTANDER):
            try:
                return self._once(ask, rows)
            except (EOFError, ConnectionError):
                own += self._shared is not None and self._shared.is_under_way
                self.hang_up()
            if own == TRIES:
                what = f"a request of {len(rows or ())} rows took it down twice"
                raise OperatorError("the model process died", what)
        raise OperatorError("the model process died", "it dies again and again, of other requests")

    def _once(self, ask: Ask, rows: Rows | None) -> Reply:
        link, shared = self._connected()
        placed, size = shared.put([array for row in rows or () for array in row.values()])
        at = iter(placed)
        places = [{name: next(at) for name in row} for row in rows] if rows is not None else None
        link.send(Request(ask, places, size))
        reply: Reply = link.recv()
        if reply.error is not None:
            raise reply.error
        return reply

    def _connected(self) -> tuple[Connection, Shared]:
        if self._link is None or self._shared is None:
            self._link = self._dialled()
            self._shared = Shared.new()
            send_handle(self._link, self._shared.fd, None)
        return self._link, self._shared

    def _dialled(self) -> Connection:
        """The connection; waits for a process that starts, or starts again."""
        deadline = monotonic() + START_S
        while True:
            try:
                return Client(self._address, "AF_UNIX", authkey=self._key)
            except (FileNotFoundError, ConnectionError, EOFError) as error:
                if monotonic() > deadline:
                    raise OperatorError("the model process does not start", str(error)) from error
                sleep(0.05)

    def hang_up(self) -> None:
        """Close this end; the next request connects again."""
        if self._link is not None:
            with suppress(OSError):
                self._link.close()
        if self._shared is not None:
            self._shared.close()
        self._link = self._shared = None
