"""Writes reproducible tars fast: fixed times and owners, plain ustar wherever it can say the name."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from sluice.writers.files import HashedFile

BLOCK = 512
_PIECE = 1 << 20
_MOST_OCTAL = 8**11
_END = bytes(2 * BLOCK)
# Mode 0644, owner 0, group 0; the size stands between these two, the time is 0.
_MODE_OWNER = b"0000644\0" + b"0000000\0" * 2
_MTIME = b"00000000000\0"
_MAGIC = b"\0" * 100 + b"ustar\x0000" + b"\0" * 80
_CONSTANT = sum(_MODE_OWNER) + sum(_MTIME) + sum(_MAGIC) + 8 * ord(" ")


class TarStream:
    """A tar being written to `file` in pieces of exactly 1 MB, through two buffers used in turn.

    One piece is hashed and written, by a thread of its own, while the next is filled. A context: at its end
    nothing is being written any more.
    """

    def __init__(self, file: HashedFile) -> None:
        self._file = file
        self._held, self._other = memoryview(bytearray(_PIECE)), memoryview(bytearray(_PIECE))
        self._used = self._written = 0
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[int] | None = None

    def __enter__(self) -> TarStream:
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.shutdown()

    def add(self, name: str, data: bytes) -> int:
        """Append a member; returns the offset of its body."""
        self._put(header(name, len(data)))
        offset = self._written + self._used
        self._put(data)
        self._put(bytes(-len(data) % BLOCK))
        return offset

    def end(self) -> None:
        """Write the end-of-archive mark."""
        self._put(_END)
        self._flush()
        self._wait()

    def _put(self, data: bytes) -> None:
        done, size = 0, len(data)
        while done < size:
            count = min(size - done, _PIECE - self._used)
            self._held[self._used : self._used + count] = memoryview(data)[done : done + count]
            self._used += count
            done += count
            if self._used == _PIECE:
                self._flush()

    def _flush(self) -> None:
        self._wait()
        self._writing = self._thread.submit(self._file.write, self._held[: self._used])
        self._held, self._other = self._other, self._held
        self._written += self._used
        self._used = 0

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()


def header(name: str, size: int) -> bytes:
    """The header of a file member: ustar, with a pax header before it for what ustar cannot say."""
    raw = name.encode("utf-8", "surrogateescape")
    split = _split(raw) if name.isascii() else None
    if split is not None and size < _MOST_OCTAL:
        return _block(*split, size, b"0")
    records = b"" if split is not None else _record(b"path", raw)
    records += _record(b"size", b"%d" % size) if size >= _MOST_OCTAL else b""
    short = name.encode("ascii", "replace")[-80:]
    return (
        _block(b"PaxHeaders/" + short, b"", len(records), b"x")
        + records
        + bytes(-len(records) % BLOCK)
        + _block(*(split or (short, b"")), min(size, _MOST_OCTAL - 1) if size >= _MOST_OCTAL else size, b"0")
    )


def _split(raw: bytes) -> tuple[bytes, bytes] | None:
    """Name and prefix of at most 100 and 155 bytes, None where the name does not fit."""
    if len(raw) <= 100:
        return raw, b""
    cut = raw.find(b"/", max(len(raw) - 101, 1))
    if cut < 0 or cut > 155 or cut == len(raw) - 1:
        return None
    return raw[cut + 1 :], raw[:cut]


def _block(name: bytes, prefix: bytes, size: int, flag: bytes) -> bytes:
    digits = b"%011o\0" % size
    total = sum(name) + sum(prefix) + sum(digits) + flag[0] + _CONSTANT
    start = name.ljust(100, b"\0") + _MODE_OWNER + digits + _MTIME
    return start + b"%06o\0 " % total + flag + _MAGIC + prefix.ljust(167, b"\0")


def _record(key: bytes, value: bytes) -> bytes:
    """A pax record, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
