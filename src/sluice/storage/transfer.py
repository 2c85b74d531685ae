"""File objects over object stores: a reader of ranges with read-ahead, a writer of multipart uploads."""

from __future__ import annotations

import io
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from sluice.storage.faults import from_store_error, store_errors

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from sluice.storage.connect import AnyStore

PART_BYTES = 8 << 20
"""Size of an upload's parts: 10,000 of them, S3's limit, make a file of 80 GB (its own clients use 8 MB)."""

_PARALLEL_PARTS = 2  # two hide the latency of one; each costs PART_BYTES of memory
_READ_AHEAD_BYTES = 256 << 10  # of the first read: headers and footers are smaller
_READ_AHEAD_MAX_BYTES = 8 << 20  # of a sequential reader: bandwidth, not latency, decides from here on


class RangeReader(io.RawIOBase):
    """Reads a remote file by ranges; the read-ahead doubles while reading goes straight on.

    `fetch(offset, size)` gives exactly that range. Put an `io.BufferedReader` on top.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self._size = fetch, size
        self._position = 0
        self._block, self._block_start = b"", 0
        self._ahead = _READ_AHEAD_BYTES

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position, in bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to `offset` from the start, the position or the end; costs no request."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` as far as the block at hand, or a fresh one, reaches; 0 at the end."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._position)
        if wanted <= 0:
            return 0
        within = self._position - self._block_start
        if not 0 <= within < len(self._block):
            self._load(wanted)
            within = 0
        piece = self._block[within : within + wanted]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _load(self, wanted: int) -> None:
        straight_on = bool(self._block) and self._position == self._block_start + len(self._block)
        self._ahead = min(self._ahead * 2, _READ_AHEAD_MAX_BYTES) if straight_on else _READ_AHEAD_BYTES
        size = min(max(wanted, self._ahead), self._size - self._position)
        self._block = self._fetch(self._position, size)
        self._block_start = self._position


class _Abandoned(Exception):  # noqa: N818 - a signal to the uploading thread, not an error
    """The writer gave up: the upload must be aborted."""


class Upload(io.RawIOBase):
    """A file being written to an object store; the object appears at `commit` and never before.

    Up to one part is held back, so a small file costs one request. A larger one goes up as a multipart
    upload from a thread, with bounded memory; `abandon` aborts it, so that no parts stay behind.
    """

    def __init__(self, store: AnyStore, key: str, url: str) -> None:
        self._store, self._key, self._url = store, key, url
        self._buffer = bytearray()
        self._written = 0
        self._parts: queue.Queue[bytes | _Abandoned | None] = queue.Queue(maxsize=1)
        self._drained = False
        self._executor: ThreadPoolExecutor | None = None
        self._sent: Future[object] | None = None

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self._written

    def write(self, data: ReadableBuffer, /) -> int:
        """Take all of `data`; may wait for earlier parts to go up."""
        if self.closed:
            raise ValueError("write to a closed file")
        self._buffer += data
        count = memoryview(data).nbytes
        self._written += count
        while len(self._buffer) > PART_BYTES:
            part = bytes(memoryview(self._buffer)[:PART_BYTES])
            del self._buffer[:PART_BYTES]
            self._send(part)
        return count

    def commit(self) -> None:
        """Make the object appear whole; `StorageError` where that fails, and then nothing appears."""
        from obstore import put

        if self._sent is None:
            with store_errors(self._url):
                put(self._store, self._key, bytes(self._buffer), use_multipart=False)
            return
        self._send(bytes(self._buffer))
        self._parts.put(None)
        self._finish()
        with store_errors(self._url):
            self._sent.result()

    def abandon(self) -> None:
        """Abort: nothing appears and no part stays behind."""
        if self._sent is not None:
            self._parts.put(_Abandoned())
            self._finish()

    def _send(self, part: bytes) -> None:
        if self._sent is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="sluice-upload")
            self._sent = self._executor.submit(self._upload)
            # When the upload fails, nobody takes parts any more and the writer would wait for ever.
            self._sent.add_done_callback(self._drain)
        if self._sent.done() and (error := self._sent.exception()) is not None:
            raise from_store_error(error, self._url) from error
        self._parts.put(part)

    def _upload(self) -> object:
        from obstore import put

        return put(
            self._store,
            self._key,
            self._take(),
            use_multipart=True,
            chunk_size=PART_BYTES,
            max_concurrency=_PARALLEL_PARTS,
        )

    def _take(self) -> Iterator[bytes]:
        while (part := self._parts.get()) is not None:
            if isinstance(part, _Abandoned):
                self._drained = True
                raise part
            yield part
        self._drained = True

    def _drain(self, _: Future[object]) -> None:
        while not self._drained:
            self._drained = not isinstance(self._parts.get(), bytes)

    def _finish(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True)
