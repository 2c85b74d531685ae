"""Where each member of a tar lies, so that documents may name members anywhere in it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sluice.readers.blocks import Blocks
from sluice.readers.groups import key_hash
from sluice.readers.tar import BLOCK, Member, plain_member, tar_members
from sluice.sample.members import is_unsafe

AMBIGUOUS = "duplicate member"


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands for a sample: the header of a `.json` member, or a place where the archive is damaged."""

    start: int
    trouble: str = ""


@dataclass
class TarIndex:
    """The `.json` members of a tar in order, and every member by name.

    Sixteen bytes a member whatever its name's length: a member is known by the hash of its name, and its header
    is read again, and compared, before it is used.
    """

    entries: list[Entry] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """For each entry where the bytes that it is reckoned by end: the beginning of the next."""
    _hashes: array[int] = field(default_factory=lambda: array("Q"))
    _starts: array[int] = field(default_factory=lambda: array("Q"))

    @classmethod
    def of(cls, blocks: Blocks, broken: str = "") -> TarIndex:
        """Read a tar's headers through; `broken` says why its compressed stream ended early."""
        index, hashes, starts = cls(), array("Q"), array("Q")
        end = 0
        for member in tar_members(blocks):
            end = member.stop
            if member.kind in ("damage", "end"):
                trouble = member.trouble
                if broken and trouble == "truncated tar":
                    trouble = "damaged compression" if "runcated" not in broken else trouble
                index.entries.append(Entry(member.start, trouble))
            elif member.kind == "file":
                if member.name.lower().endswith(".json"):
                    index.entries.append(Entry(member.start))
                hashes.append(key_hash(member.name))
                starts.append(member.start)
        order = np.argsort(np.array(hashes, np.uint64), kind="stable")
        index._hashes, index._starts = _sorted(hashes, order), _sorted(starts, order)
        index.ends = [*(entry.start for entry in index.entries[1:]), end]
        return index

    def find(self, blocks: Blocks, name: str) -> Member | str | None:
        """The member of this name; None where there is none, and a reason where several have it or it is unsafe."""
        if is_unsafe(name):
            return "unsafe member name"
        digest = key_hash(name)
        first, last = bisect_left(self._hashes, digest), bisect_right(self._hashes, digest)
        found = [m for s in self._starts[first:last] if (m := member_at(blocks, s)) and m.name == name]
        if len(found) > 1:
            return AMBIGUOUS
        return found[0] if found else None


def member_at(blocks: Blocks, start: int) -> Member | None:
    """The file member whose headers begin at `start`, read from them; None where there is no such header."""
    block = blocks.at(start, BLOCK)
    plain = plain_member(block, start)
    if plain is not None:
        return plain
    member = next(tar_members(blocks, start), None)
    return member if member is not None and member.kind == "file" else None


def _sorted(values: array[int], order: NDArray[np.intp]) -> array[int]:
    """The values in this order; searched by bisection they answer in a tenth of NumPy's time."""
    return array("Q", np.array(values, np.uint64)[order].tobytes())
