"""Reads the members of a tar: names, places and sizes, and what is wrong, without touching bodies.

Header layout: POSIX.1-2001 (ustar, pax) and the GNU tar manual's "Basic Tar Format"; v7 is the same without
the magic. Global pax headers cannot name or size a member here: no writer does that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sluice.readers.blocks import Blocks
from sluice.sample.members import readable_name

BLOCK = 512
_ZEROS = bytes(BLOCK)
_LONGEST_NAME_BLOCK = 1 << 20  # bytes of one GNU long name or pax header; a path has at most 4096
_LOOK_PAST_END = 1 << 16
_CHECKSUM_BLANK = 8 * ord(" ")

Kind = Literal["file", "folder", "link", "device", "sparse", "damage", "end"]

_KINDS: dict[bytes, Kind] = {
    b"1": "link",
    b"2": "link",
    b"3": "device",
    b"4": "device",
    b"6": "device",
    b"5": "folder",
    b"D": "folder",
    b"S": "sparse",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its headers begin at `start`, its body of `size` bytes at `offset`.

    `kind` "damage" stands for a stretch that is no valid header (the next member is where reading resumed),
    "end" for the place where the archive ends too early or goes on after its end; `trouble` says what is
    wrong with it.
    """

    name: str
    start: int
    offset: int
    size: int
    kind: Kind = "file"
    trouble: str = ""

    @property
    def stop(self) -> int:
        """Where the next member's headers begin."""
        return self.offset + -(-self.size // BLOCK) * BLOCK


def tar_members(blocks: Blocks, start: int = 0, stop: int | None = None) -> Iterator[Member]:
    """The members whose headers begin in [start, stop), in order; damage is a member too.

    Never raises for what the archive holds, and always comes to an end.
    """
    position = start
    named = _Named(position)
    while stop is None or position < stop:
        block = blocks.at(position, BLOCK)
        if len(block) < BLOCK:
            yield _cut(named, position, blocks)
            return
        if block == _ZEROS:
            yield from _after_end(blocks, position, stop)
            return
        header = _header(block)
        if header is None:
            resumed, block_found = _resume(blocks, position + BLOCK, stop)
            yield Member("", named.start, position, resumed - position, "damage", "bad tar header")
            position, named = resumed, _Named(resumed)
            if not block_found:
                return
            continue
        size, flag = header
        offset = position + BLOCK
        if flag in _NAMING:
            if not named.take(flag, blocks.at(offset, size) if size <= _LONGEST_NAME_BLOCK else None, size):
                yield Member("", named.start, position, BLOCK, "damage", "bad tar header")
                position, named = offset, _Named(offset)
                continue
            position = offset + -(-size // BLOCK) * BLOCK
            continue
        member = _member(block, flag, size, offset, named, blocks)
        if blocks.size is not None and member.offset + member.size > blocks.size:
            yield Member(member.name, member.start, member.offset, member.size, "end", "truncated tar")
            return
        yield member
        position = member.stop
        named = _Named(position)


_NAMING = (b"L", b"K", b"x", b"X", b"g")


class _Named:
    """What the GNU and pax headers before a member say of it."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.name: str | None = None
        self.size: int | None = None
        self.sparse = False

    def take(self, flag: bytes, body: bytes | None, size: int) -> bool:
        """Learn from one such header; False where it is not well formed."""
        if body is None or len(body) < size:
            return body is not None  # cut: the caller meets the end right after
        if flag == b"L":
            self.name = readable_name(body.split(b"\0", 1)[0])
        return self._pax(body) if flag in (b"x", b"X") else True

    def _pax(self, body: bytes) -> bool:
        at = 0
        while at < len(body) and body[at] != 0:
            space = body.find(b" ", at, at + 20)
            digits = body[at:space]
            if space < 0 or not digits.isdigit() or len(digits) > 10:
                return False
            end = at + int(digits)
            record = body[space + 1 : end - 1]
            if end > len(body) or end <= space + 1 or body[end - 1 : end] != b"\n" or b"=" not in record:
                return False
            if not self._record(*record.split(b"=", 1)):
                return False
            at = end
        return True

    def _record(self, key: bytes, value: bytes) -> bool:
        if key == b"path" or key == b"GNU.sparse.name":
            if not self.sparse or key != b"path":
                self.name = readable_name(value)
        elif key == b"size":
            if not value.isdigit() or len(value) > 19:
                return False
            self.size = int(value)
        if key.startswith(b"GNU.sparse."):
            self.sparse = True
        return True


def _header(block: bytes) -> tuple[int, bytes] | None:
    """Size and type of a header block whose checksum holds, else None."""
    claimed = _number(block[148:156])
    if claimed is None:
        return None
    total = sum(block) - sum(block[148:156]) + _CHECKSUM_BLANK
    # Some old writers summed signed characters.
    if claimed != total and claimed != total - 256 * sum(b > 127 for b in block[:148] + block[156:]):
        return None
    size = _number(block[124:136])
    if size is None or size < 0:
        return None
    return size, block[156:157]


def plain_member(block: bytes, start: int) -> Member | None:
    """The file that an ordinary ustar header stands for, where it says all by itself; None for any other block."""
    if len(block) < BLOCK or block[156:157] != b"0" or block[257:263] != b"ustar\0" or block[345]:
        return None
    header = _header(block)
    if header is None or block[124] & 0x80:
        return None
    return Member(readable_name(block[:100].split(b"\0", 1)[0]), start, start + BLOCK, header[0])


def _number(field: bytes) -> int | None:
    """A number field: octal digits, or big-endian binary where the first bit is set (GNU)."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        return value if field[0] == 0x80 and value < 1 << 62 else None
    digits = field.split(b"\0", 1)[0].strip()
    if not digits:
        return 0
    if not digits.isdigit():
        return None
    try:
        return int(digits, 8)
    except ValueError:
        return None


def _member(block: bytes, flag: bytes, size: int, offset: int, named: _Named, blocks: Blocks) -> Member:
    if named.size is not None:
        size = named.size
    raw = block[:100].split(b"\0", 1)[0]
    if named.name is None and block[257:263] == b"ustar\0" and block[345]:
        raw = block[345:500].split(b"\0", 1)[0] + b"/" + raw
    name = readable_name(raw) if named.name is None else named.name
    kind = _KINDS.get(flag, "file")
    if kind == "file" and name.endswith("/") and flag in (b"0", b"\0"):
        kind = "folder"  # v7 marks folders so
    if flag == b"V" or flag == b"M":  # volume label, continued from another volume: nothing of its own
        kind = "folder" if flag == b"V" else "device"
    if kind in ("link", "device") or (kind == "folder" and flag != b"D"):
        size = 0
    if flag == b"S":
        offset = _past_sparse_map(block, offset, blocks)
    if named.sparse:
        kind = "sparse"
    return Member(name, named.start, offset, size, kind)


def _past_sparse_map(block: bytes, offset: int, blocks: Blocks) -> int:
    """Where the body of an old GNU sparse member begins: after the blocks that continue its map."""
    more = block[482]
    while more:
        extension = blocks.at(offset, BLOCK)
        if len(extension) < BLOCK:
            return offset
        more = extension[504]
        offset += BLOCK
    return offset


def _cut(named: _Named, position: int, blocks: Blocks) -> Member:
    reason = "damaged compression" if blocks.broken and "runcated" not in blocks.broken else "truncated tar"
    return Member(named.name or "", named.start, position, 0, "end", reason)


def _resume(blocks: Blocks, position: int, stop: int | None) -> tuple[int, bool]:
    """The next position that holds a valid header with the ustar magic, or where the search ended."""
    while stop is None or position < stop:
        block = blocks.at(position, BLOCK)
        if len(block) < BLOCK:
            return position, False
        if block[257:262] == b"ustar" and _header(block) is not None:
            return position, True
        position += BLOCK
    return position, False


def _after_end(blocks: Blocks, position: int, stop: int | None) -> Iterator[Member]:
    """Members after the end-of-archive mark: other readers would lose them without a word."""
    end = position + _LOOK_PAST_END
    while position < end:
        block = blocks.at(position, BLOCK)
        if len(block) < BLOCK:
            return
        if block != _ZEROS:
            if block[257:262] == b"ustar" and _header(block) is not None:
                yield Member("", position, position, 0, "end", "members after the end of the archive")
            return
        position += BLOCK
