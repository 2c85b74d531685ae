"""Turns what operating systems and object stores say into errors that tell the user what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sluice.errors import NotFoundError, StorageError, UnavailableError

_LOCAL: dict[int, tuple[str, str]] = {
    errno.ENOENT: ("no such file or folder", "check the path"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "check the path"),
    errno.EEXIST: ("there is something of this name already", "name another place"),
    errno.EISDIR: ("is a folder where a file is needed", "name a file inside the folder"),
    errno.ENOTEMPTY: ("the folder is not empty", "delete what it holds first"),
    errno.ENOSPC: ("no space left on the device", "free some space or write elsewhere, then run again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or ask for more, then run again"),
    errno.EFBIG: ("the file would exceed the allowed size", "raise `ulimit -f`, or write smaller shards"),
    errno.EROFS: ("the file system is read-only", "write elsewhere, or remount it writable"),
    errno.EACCES: ("permission denied", "check owner and mode with `ls -ld`, or choose another place"),
    errno.EPERM: (
        "operation not permitted",
        "check owner and attributes (`lsattr`), or choose another place",
    ),
    errno.EMFILE: ("too many open files in this process", "raise `ulimit -n`, or use fewer workers"),
    errno.ENFILE: ("too many open files on this machine", "close other programs, or raise fs.file-max"),
    errno.ENAMETOOLONG: ("the name is too long for the file system", "shorten the name"),
    errno.ELOOP: ("symbolic links form a loop", "remove the link that points back"),
    errno.EIO: ("the device reports an input/output error", "check the disk (`dmesg`) and restore the file"),
    errno.ESTALE: ("the network file system lost the file", "remount it, then run again"),
    errno.ENXIO: ("is not a regular file", "name a regular file"),
    errno.ESPIPE: ("is not a regular file", "name a regular file"),
}

_STORE_IS_DOWN = {"GenericError", "TimeoutError", "ConnectionError"}
"""Names of obstore's errors for server errors, stalls and lost connections that outlast its retries."""

_ABSENT = {errno.ENOENT, errno.ENOTDIR}


def from_os_error(error: OSError, url: str) -> StorageError:
    """The error to raise for `error` at `url`; `NotFoundError` where nothing is there."""
    code = error.errno or 0
    what, fix = _LOCAL.get(code, (error.strerror or str(error) or type(error).__name__, "check the device"))
    kind = NotFoundError if code in _ABSENT else StorageError
    return kind(what, where=url, fix=fix)


@contextmanager
def os_errors(url: str) -> Iterator[None]:
    """Translate the `OSError`s of a block that touches `url` only."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, url) from error


def one_sentence(error: BaseException) -> str:
    """What obstore says first; pages of debug output follow in its errors."""
    return " ".join(str(error).split("\n\nDebug source", 1)[0].split())[:400]


def from_store_error(error: BaseException, url: str) -> StorageError | UnavailableError:
    """The error to raise for what obstore raised at `url`: of this place, or of its whole store."""
    said = one_sentence(error)
    if "NoSuchBucket" in said or "ContainerNotFound" in said:
        return NotFoundError("there is no such bucket", where=url, fix="create the bucket, or check its name")
    if isinstance(error, FileNotFoundError):
        return NotFoundError("there is no such object", where=url, fix="check bucket and key")
    name = type(error).__name__
    if name in ("PermissionDeniedError", "UnauthenticatedError"):
        return StorageError(
            f"access denied ({said})",
            where=url,
            fix="check the credentials in the environment, and that they may read, write and list here",
        )
    if name == "PreconditionError":
        return StorageError(
            "changed while it was being read", where=url, fix="run again when nothing writes to it"
        )
    if name == "NotSupportedError" and "Range request" in said:
        return StorageError(
            "the server ignores ranges and sends the whole file",
            where=url,
            fix="download the file first, or serve it from a server that supports Range requests",
        )
    if name == "InvalidPathError":
        return StorageError(
            f"a key here cannot be addressed ({said})",
            where=url,
            fix="rename the object: empty, '.' and '..' segments and control characters are not supported",
        )
    if "416 Range Not Satisfiable" in said:
        return StorageError(
            "the range starts past the end of the file",
            where=url,
            fix="the file is truncated or changed since it was indexed; restore it, or index it again",
        )
    # Web sources name many servers, of which some are always down: there it is that one file's trouble.
    kind = UnavailableError if name in _STORE_IS_DOWN and not url.startswith("http") else StorageError
    return kind(said, where=url, fix="check the network and the endpoint, then run again")


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Translate what obstore raises inside a block that touches `url` only."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise from_store_error(error, url) from error
