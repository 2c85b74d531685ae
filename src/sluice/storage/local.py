"""Files of this machine: cheap ranged reads, writes that appear whole, listings in byte order."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from sluice.errors import NotFoundError, StorageError
from sluice.storage.backend import Entry, check_range, is_temporary, short_read, temporary_name
from sluice.storage.faults import from_os_error, os_errors

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# O_NONBLOCK: opening a named pipe must not hang the run; regular files ignore it.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_WRITE_BUFFER_BYTES = 1 << 18
_PROBE_BYTES = 4096  # one block: enough for a full disk to say so


class TargetFile(io.FileIO):
    """The raw file under a writer: its errors say what to do, and a failed write can be thrown away."""

    def __init__(self, fd: int, url: str) -> None:
        super().__init__(fd, "wb")
        self.url = url
        self.discarded = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write `data` and return how many bytes were taken."""
        if self.discarded:  # the buffer above flushes on close, also when the file is being given up
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            raise from_os_error(error, self.url) from error


class LocalFiles:
    """The file system of this machine; keys are absolute paths."""

    is_local = True

    def read(self, key: str) -> bytes:
        """The whole file."""
        with os_errors(key), io.FileIO(_open_regular(key)) as file:
            return file.readall()

    def read_range(self, key: str, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`."""
        try:
            fd = os.open(key, _READ)
        except OSError as error:
            raise from_os_error(error, key) from error
        try:
            return _read_exactly(fd, key, offset, size)
        finally:
            os.close(fd)

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """One read per range through one open file."""
        try:
            fd = os.open(key, _READ)
        except OSError as error:
            raise from_os_error(error, key) from error
        try:
            return [_read_exactly(fd, key, offset, size) for offset, size in ranges]
        finally:
            os.close(fd)

    def stream(self, key: str, chunk_bytes: int, start: int) -> Iterator[bytes]:
        """The bytes from `start` on, in chunks of `chunk_bytes` (the last one shorter)."""
        with os_errors(key):
            fd = _open_regular(key)
        try:
            position = start
            while True:
                with os_errors(key):
                    chunk = os.pread(fd, chunk_bytes, position)
                if not chunk:
                    return
                position += len(chunk)
                yield chunk
        finally:
            os.close(fd)

    def open(self, key: str) -> BinaryIO:
        """A seekable buffered reader."""
        with os_errors(key):
            return io.BufferedReader(io.FileIO(_open_regular(key)))

    def write(self, key: str, data: bytes, *, fsync: bool) -> None:
        """Put `data` under `key`, whole or not at all."""
        with self.writer(key, fsync=fsync) as file:
            file.write(data)

    @contextmanager
    def writer(self, key: str, *, fsync: bool) -> Iterator[BinaryIO]:
        """A file that takes its name only when the block ends without an exception."""
        temporary, fd = _create_beside(key)
        held = os.dup(fd)  # keeps the lock until the name is taken; the file itself is closed before that
        raw = TargetFile(fd, key)
        file = io.BufferedWriter(raw, _WRITE_BUFFER_BYTES)
        try:
            yield cast(BinaryIO, file)
            file.close()
            with os_errors(key):
                if fsync:
                    _sync(temporary)
                temporary.replace(key)
                if fsync:
                    _sync(temporary.parent)
        except BaseException:
            raw.discarded = True
            with suppress(OSError):  # a second error would hide the one that matters
                file.close()
            with suppress(OSError):
                temporary.unlink()
            raise
        finally:
            os.close(held)

    def upload(self, key: str, source: Path) -> None:
        """Copy the local file `source` here, whole or not at all."""
        with os_errors(str(source)):
            origin = io.FileIO(_open_regular(str(source)))
        with origin, self.writer(key, fsync=False) as target:
            while chunk := origin.read(1 << 20):
                target.write(chunk)

    def stat(self, key: str) -> Entry | None:
        """What is known of the file; None where no file is (a folder is none)."""
        try:
            found = Path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_os_error(error, key) from error
        if stat.S_ISDIR(found.st_mode):
            return None
        return Entry(Path(key).name, found.st_size, found.st_mtime_ns, None)

    def is_dir(self, key: str) -> bool:
        """Is it a folder (or a link to one)?"""
        return Path(key).is_dir()

    def list(self, key: str, *, recursive: bool) -> Iterator[Entry]:
        """The files below, by path in byte order; a missing folder holds none.

        Links to folders are not entered: inside the root the files are listed where they really are, outside
        is not ours to read. Pipes, sockets and devices are left out; a dangling link is listed, so that
        reading it is a counted failure and not a silent loss.
        """
        pending = [_children(key, "", recursive=recursive)]
        while pending:
            item = next(pending[-1], None)
            if item is None:
                pending.pop()
            elif isinstance(item, Entry):
                yield item
            else:
                pending.append(_children(f"{key.rstrip('/')}/{item}", f"{item}/", recursive=recursive))

    def delete(self, key: str) -> None:
        """Remove the file; a missing one is fine."""
        with os_errors(key), suppress(FileNotFoundError, NotADirectoryError):
            Path(key).unlink()

    def delete_tree(self, key: str) -> None:
        """Remove the folder and everything below; a missing one is fine, a link is only unlinked."""
        folder, home = Path(key), Path.home().resolve()
        if folder.resolve() in (home, *home.parents):
            raise StorageError(
                "refusing to delete the root, the home folder or a folder that holds it",
                where=key,
                fix="name the folder that is to go",
            )
        if folder.is_symlink() or not folder.is_dir():
            self.delete(key)
            return
        with os_errors(key):
            shutil.rmtree(folder)

    def make_dirs(self, key: str) -> None:
        """Make the folder and its parents where they are missing."""
        with os_errors(key):
            Path(key).mkdir(parents=True, exist_ok=True)

    def check_writable(self, key: str) -> None:
        """Write and remove a block in the folder (or beside the file to be)."""
        folder = Path(key) if Path(key).is_dir() else Path(key).parent
        if not folder.is_dir():
            raise NotFoundError("no such folder", where=str(folder), fix=f"make it: mkdir -p '{folder}'")
        probe = folder / temporary_name("probe")
        with os_errors(str(folder)):
            fd = os.open(probe, _CREATE, 0o600)
            try:
                os.write(fd, bytes(_PROBE_BYTES))
            finally:
                os.close(fd)
                probe.unlink(missing_ok=True)

    def remove_leftovers(self, key: str) -> None:
        """Remove the unfinished files below of writers that were killed; those of living writers stay."""
        for folder, _, names in os.walk(key):
            for name in filter(is_temporary, names):
                _remove_abandoned(Path(folder) / name)


def _open_regular(key: str) -> int:
    fd = os.open(key, _READ)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO, "not a regular file")


def _read_exactly(fd: int, url: str, offset: int, size: int) -> bytes:
    check_range(url, offset, size)
    try:
        data = os.pread(fd, size, offset)
        # A single call gives at most 2 GiB; at the end of the file it gives nothing.
        while 0 < len(data) < size:
            more = os.pread(fd, size - len(data), offset + len(data))
            if not more:
                break
            data += more
    except OSError as error:
        raise from_os_error(error, url) from error
    if len(data) != size:
        raise short_read(url, offset, size, len(data))
    return data


def _create_beside(key: str) -> tuple[Path, int]:
    """Create the unfinished twin of `key`, with its folder where that is missing, as object stores do."""
    target = Path(key)
    with os_errors(key):
        if target.is_dir():
            raise OSError(errno.EISDIR, "is a folder")
        while True:
            temporary = target.with_name(temporary_name(target.name))
            try:
                fd = os.open(temporary, _CREATE, 0o666)
            except FileNotFoundError:
                temporary.parent.mkdir(parents=True, exist_ok=True)
                fd = os.open(temporary, _CREATE, 0o666)
            if _locked(temporary, fd):
                return temporary, fd
            os.close(fd)


def _locked(temporary: Path, fd: int) -> bool:
    """Lock a new unfinished file against `remove_leftovers`; False where that was quicker and removed it."""
    with suppress(OSError):  # a file system without locks: nothing is removed there
        fcntl.flock(fd, fcntl.LOCK_EX)
    return temporary.exists()


def _remove_abandoned(temporary: Path) -> None:
    """Remove an unfinished file that nobody holds; the kernel lets go of a lock when its process dies."""
    with suppress(OSError):  # held, gone, or not ours to remove: it is left alone
        fd = os.open(temporary, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()
        finally:
            os.close(fd)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _children(folder: str, prefix: str, *, recursive: bool) -> Iterator[Entry | str]:
    """A folder's files as entries and its folders as relative paths, in the order of their files' paths."""
    found: list[tuple[bytes, os.DirEntry[str]]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder and not recursive:
                    continue
                # "a/b" sorts after "a.jpg": a folder takes part in the order with its slash.
                found.append((os.fsencode(entry.name) + (b"/" if is_folder else b""), entry))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise from_os_error(error, folder) from error
    found.sort(key=lambda pair: pair[0])
    for name, entry in found:
        if name.endswith(b"/"):
            yield prefix + entry.name
        elif not is_temporary(entry.name):
            listed = _entry(entry, prefix)
            if listed is not None:
                yield listed


def _entry(entry: os.DirEntry[str], prefix: str) -> Entry | None:
    try:
        try:
            found = entry.stat()
        except OSError:
            found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # gone since the folder was read
        return None
    except OSError as error:
        raise from_os_error(error, entry.path) from error
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        return None
    return Entry(prefix + entry.name, found.st_size, found.st_mtime_ns, None)
