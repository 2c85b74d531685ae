"""Remembers what was paid for: every reply of a captioner, on disk before anything is made of it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from sluice.errors import UnavailableError
from sluice.model.files import models_folder
from sluice.storage import Location

FOLDED = 1 << 16
"""Entries kept in a dict before they are folded into sorted arrays, which take 16 bytes an entry."""

_CLAIM_LOOKS_S = 0.05
_KEY_AT = slice(9, 41)  # {"key": "<32 hexadecimal digits>", …
_PLACE_BITS = 44  # of 63: offsets up to 16 TiB, half a million files

_folder: Path | None = None


def use(store: Location | None) -> None:
    """Let this process's journals lie in a store's `journal` folder; None keeps replies in memory only.

    A journal is appended to and synchronised, which an object store cannot do: for a remote store it lies on
    this machine, in the models' folder under a name made of the store's address.
    """
    global _folder
    if store is None:
        _folder = None
    elif store.is_local:
        _folder = store.path / "journal"
    else:
        _folder = models_folder() / ".journal" / xxhash.xxh3_64_hexdigest(store.url.encode())


def journal_of(model: str) -> Journal:
    """The journal of a model, in the folder that `use` named."""
    plain = re.sub(r"[^\w.-]+", "_", model)[:60].strip(".") or "model"
    name = f"{plain}-{xxhash.xxh3_64_hexdigest(model.encode())[:8]}"
    return Journal(_folder / name if _folder is not None else None)


def request_key(request: Mapping[str, Any]) -> str:
    """The digest by which a reply is known, 32 hexadecimal digits: of everything that the reply depends on."""
    return xxhash.xxh3_128_hexdigest(json.dumps(request, sort_keys=True).encode())


class Journal:
    """Replies by the digest of their request, in append-only files of one folder.

    Each process writes a file of its own (`<pid>-<token>.jsonl`, one object a line: `key`, `request`, `reply`)
    and reads those of all. A line is synchronised to disk before `put` returns; one that a kill cut short is
    passed over. Memory holds 16 bytes a reply. Without a folder all is kept in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._freed, self._held = threading.Condition(), set[int]()
        self._memory: dict[str, Any] = {}
        self._files: list[Path] = []
        self._read_to: dict[Path, int] = {}
        self._recent: dict[int, int] = {}
        self._heads, self._places = np.empty(0, np.uint64), np.empty(0, np.int64)
        self._own: Path | None = None
        self._claims: int | None = None
        self.refresh()

    def refresh(self) -> None:
        """Take note of what other processes have written since."""
        if self.folder is None:
            return
        with self._lock:
            for path in sorted(self.folder.glob("*.jsonl")):
                if path.stat().st_size > self._read_to.get(path, 0):
                    self._read_on(path)
            if len(self._recent) >= FOLDED:
                self._fold()

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply to a request, if it is known."""
        with self._lock:
            if self.folder is None:
                return self._memory.get(key)
            place = self._place(_head(key))
            entry = self._entry(place) if place is not None else None
        return entry["reply"] if entry is not None and entry["key"] == key else None

    def put(self, key: str, request: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
        """Write a reply down; it is on disk when this returns. `request` is kept for people.

        Raises UnavailableError where it cannot be written: what is not remembered must not be paid for.
        """
        entry = {"key": key, "request": dict(request), "reply": dict(reply)}
        line = json.dumps(entry, ensure_ascii=True).encode() + b"\n"
        with self._lock:
            if self.folder is None:
                self._memory[key] = entry["reply"]
                return
            try:
                path, offset = self._append(self.folder, line)
            except OSError as error:
                self._own = None  # the line may be there in part: nothing goes behind it
                raise UnavailableError(
                    f"the journal cannot be written: {error}",
                    where=str(self.folder),
                    fix="make room there, and run the same command again",
                ) from error
            self._recent[_head(key)] = self._numbered(path) << _PLACE_BITS | offset

    @contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Holds a request for this thread; waits while another one, of any process on this machine, holds it.

        A claim ends with its process, however that ends.
        """
        place = _head(key) >> 2
        with self._freed:  # locks of files hold between processes only
            self._freed.wait_for(lambda: place not in self._held)
            self._held.add(place)
        try:
            with self._claimed_from_others(place):
                yield
        finally:
            with self._freed:
                self._held.discard(place)
                self._freed.notify_all()

    @contextmanager
    def _claimed_from_others(self, place: int) -> Iterator[None]:
        if self.folder is None:
            yield
            return
        claims = self._claimed_in(self.folder)
        # Not a lock that waits: the kernel would see deadlocks between processes where there are none of threads.
        while not _locked(claims, place):
            time.sleep(_CLAIM_LOOKS_S)
        try:
            self.refresh()
            yield
        finally:
            fcntl.lockf(claims, fcntl.LOCK_UN, 1, place)

    def _claimed_in(self, folder: Path) -> int:
        """The open file of claims: an empty one, of which a lock may name any byte."""
        with self._lock:
            if self._claims is None:
                folder.mkdir(parents=True, exist_ok=True)
                self._claims = os.open(folder / "claims", os.O_RDWR | os.O_CREAT, 0o666)
                weakref.finalize(self, os.close, self._claims)
            return self._claims

    def _append(self, folder: Path, line: bytes) -> tuple[Path, int]:
        """Write a line at the end of our own file; that file, and where the line begins."""
        path = self._own or folder / f"{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            offset = file.tell()
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if self._own is None:
            _synchronise(folder)
            self._own = path
            self._read_to[path] = 1 << 62  # no refresh reads it: what it holds is known
        return path, offset

    def _numbered(self, path: Path) -> int:
        if path not in self._files:
            self._files.append(path)
        return self._files.index(path)

    def _read_on(self, path: Path) -> None:
        number, offset = self._numbered(path), self._read_to.get(path, 0)
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # being written, or cut by a kill
                key = line[_KEY_AT]
                if re.fullmatch(rb"[0-9a-f]{32}", key):
                    self._recent[_head(key.decode())] = number << _PLACE_BITS | offset
                offset += len(line)
        self._read_to[path] = offset

    def _fold(self) -> None:
        heads = np.concatenate([self._heads, np.fromiter(self._recent.keys(), np.uint64)])
        places = np.concatenate([self._places, np.fromiter(self._recent.values(), np.int64)])
        order = np.argsort(heads, kind="stable")
        self._heads, self._places = heads[order], places[order]
        self._recent = {}

    def _place(self, head: int) -> int | None:
        if head in self._recent:
            return self._recent[head]
        at = int(np.searchsorted(self._heads, np.uint64(head), side="right")) - 1
        return int(self._places[at]) if at >= 0 and int(self._heads[at]) == head else None

    def _entry(self, place: int) -> dict[str, Any] | None:
        path = self._files[place >> _PLACE_BITS]
        try:
            with path.open("rb") as file:
                file.seek(place & ((1 << _PLACE_BITS) - 1))
                entry: dict[str, Any] = json.loads(file.readline())
        except (FileNotFoundError, ValueError):
            return None  # deleted or damaged by hand: not known any more
        return entry


def _head(key: str) -> int:
    return int(key[:16], 16)


def _locked(file: int, place: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _synchronise(folder: Path) -> None:
    """Put a new file's name on disk as well."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
