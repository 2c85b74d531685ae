"""Gathers a tar's members into samples: members of one key that stand together, and what is wrong with them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import xxhash
from numpy.typing import NDArray

from sluice.readers.tar import Member
from sluice.sample.members import is_unsafe, split_member

MOST_MEMBERS = 10_000
"""Members one sample may have; a hostile archive must not fill the memory with one key."""
MOST_IN_HAND = 1 << 30
"""Bytes of one sample that are held in memory where they cannot be addressed (compressed tars)."""

_REFUSED = {"link": "link member", "device": "device member", "sparse": "sparse member"}

Load = Callable[[Member], bytes]


@dataclass(slots=True)
class Group:
    """Adjacent members of one key, from their first header on; `trouble` is why the sample fails.

    `key` is "" for trouble that no key can be named for. `clean` says that nothing damaged precedes it, so
    that reading may begin here. `bodies` holds the members' bytes where they were loaded on the way.
    """

    key: str
    start: int
    clean: bool = True
    members: list[tuple[str, Member]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    trouble: str = ""
    detail: str = ""
    in_hand: int = 0
    names: set[str] = field(default_factory=set)

    def fail(self, reason: str, member: Member) -> None:
        """Note the first trouble, and forget what was gathered."""
        if not self.trouble:
            self.trouble, self.detail = reason, f"{member.name!r} at offset {member.start}"
        self.members, self.bodies = [], []

    def add(self, name: str, member: Member, load: Load | None) -> None:
        """Take a member in, or fail for it."""
        if self.trouble:
            return
        reason = _objection(self, name, member)
        if reason:
            self.fail(reason, member)
            return
        if load is not None:
            self.in_hand += member.size
            body = load(member) if self.in_hand <= MOST_IN_HAND else b""
            if len(body) < member.size:
                self.fail("truncated tar" if self.in_hand <= MOST_IN_HAND else "too many bytes", member)
                return
            self.bodies.append(body)
        self.members.append((name, member))
        self.names.add(name)


def groups(members: Iterable[Member], load: Load | None = None) -> Iterator[Group]:
    """The groups of a run of members, in order. A key met again later is a group of its own."""
    current: Group | None = None
    damage: Member | None = None
    lonely: Member | None = None  # trouble with no group beside it
    for member in members:
        if member.kind == "folder":
            continue
        if member.kind == "damage" or (member.kind == "end" and not member.name):
            if member.trouble == "members after the end of the archive":
                lonely = member
            elif current is not None:
                current.fail(member.trouble, member)
            else:
                lonely = member
            damage = member if member.kind == "damage" else damage
            continue
        key, name = split_member(member.name)
        if current is None or key != current.key:
            if current is not None:
                yield current
            current = Group(key, member.start, clean=damage is None)
            if damage is not None:
                # What was lost may have been its first members.
                current.fail(damage.trouble, damage)
                lonely = None
        damage = None  # damage amid one key is that key's alone
        current.add(name, member, load)
    if current is not None:
        yield current
    if lonely is not None:
        stray = Group("", lonely.start, clean=False)
        stray.fail(lonely.trouble, lonely)
        yield stray


def _objection(group: Group, name: str, member: Member) -> str:
    """Why a member cannot be part of its sample, "" where it can."""
    if not member.name or is_unsafe(member.name):
        return "unsafe member name"
    if member.kind == "end":
        return member.trouble
    if member.kind in _REFUSED:
        return _REFUSED[member.kind]
    if len(group.members) >= MOST_MEMBERS:
        return "too many members"
    return "duplicate member" if name in group.names else ""


def key_hash(key: str) -> int:
    """64 bits that stand for a key within one shard (10 million keys collide with probability 3e-6)."""
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "surrogatepass"))


class Places:
    """Which keys of a shard stand in more than one place; eight bytes a group while it is read through."""

    def __init__(self) -> None:
        self._hashes = array("Q")

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, group: Group) -> None:
        """Remember the next group."""
        # Strays without a key are unique.
        self._hashes.append(key_hash(group.key or f"\0{group.start}"))

    def apart(self) -> Apart:
        """What stands in several places."""
        hashes = np.frombuffer(self._hashes, np.uint64) if self._hashes else np.empty(0, np.uint64)
        values, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        repeated = counts > 1
        later = np.isin(hashes, values[repeated])
        later[first[repeated]] = False
        firsts = dict(zip(values[repeated].tolist(), first[repeated].tolist(), strict=True))
        return Apart(hashes, later, firsts)


@dataclass(frozen=True, slots=True)
class Apart:
    """`hashes` of all groups' keys in order, which groups are `later` parts (bool), and for the hash of every
    key met again the number of its first group."""

    hashes: NDArray[np.uint64]
    later: NDArray[np.bool_]
    firsts: dict[int, int]

    def new(self, start: int, stop: int) -> int:
        """How many samples the groups [start, stop) are, later parts not counted again."""
        return int(stop - start - self.later[start:stop].sum())

    def within(self, start: int, stop: int) -> tuple[tuple[int, bool], ...]:
        """The keys met in [start, stop) that stand in several places, and whether their first part is there."""
        if not self.firsts:
            return ()
        here = sorted({h for h in self.hashes[start:stop].tolist() if h in self.firsts})
        return tuple((h, start <= self.firsts[h] < stop) for h in here)
