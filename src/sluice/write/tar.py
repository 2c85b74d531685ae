"""Writes reproducible tars fast: fixed times and owners, plain ustar wherever it can say the name."""

from __future__ import annotations

from sluice.write.files import HashedFile

BLOCK = 512
_FLUSH = 1 << 20
_MOST_OCTAL = 8**11
_END = bytes(2 * BLOCK)
# Mode 0644, owner 0, group 0; the size stands between these two, the time is 0.
_MODE_OWNER = b"0000644\0" + b"0000000\0" * 2
_MTIME = b"00000000000\0"
_MAGIC = b"\0" * 100 + b"ustar\x0000" + b"\0" * 80


class TarStream:
    """A tar being written to `file`. Large writes only: small pieces are gathered up to 1 MB."""

    def __init__(self, file: HashedFile) -> None:
        self._file = file
        self._held = bytearray()
        self._written = 0

    def add(self, name: str, data: bytes) -> int:
        """Append a member; returns the offset of its body."""
        self._put(header(name, len(data)))
        offset = self._written + len(self._held)
        padding = -len(data) % BLOCK
        if len(data) >= _FLUSH:
            self._flush()
            self._file.write(data)
            self._written += len(data)
        else:
            self._held += data
        self._put(bytes(padding))
        return offset

    def end(self) -> None:
        """Write the end-of-archive mark."""
        self._put(_END)
        self._flush()

    def _put(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._file.write(self._held)
            self._written += len(self._held)
            self._held = bytearray()


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
    before = name.ljust(100, b"\0") + _MODE_OWNER + b"%011o\0" % size + _MTIME
    after = flag + _MAGIC + prefix.ljust(167, b"\0")
    total = sum(before) + sum(after) + 8 * 32
    return before + b"%06o\0 " % total + after


def _record(key: bytes, value: bytes) -> bytes:
    """A pax record, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
