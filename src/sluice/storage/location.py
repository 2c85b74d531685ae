"""The one name for a file or folder anywhere, so that paths and URLs are parsed in a single place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import quote, unquote, urlsplit

from sluice.errors import StorageError
from sluice.storage.backend import Backend, Entry, check_range
from sluice.storage.local import LocalFiles

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HTTP_SAFE = "/%:@!$&'()*+,;=~-._[]"  # RFC 3986: what may stand in a path as it is
_OTHER_NAMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "azure": "az", "abfs": "az", "abfss": "az"}
_LOCAL = LocalFiles()


class Location:
    """A file or folder: a local path, `file://`, `s3://`, `gs://`, `az://` or `http(s)://`.

    Immutable, hashable, picklable, equal by `url`. Nothing is looked at until a method asks. Object keys and
    local paths are taken literally ('#', '%', '?' and spaces mean themselves); `file://` and `http(s)://`
    URLs are percent-encoded as usual. '~' is expanded and a local path made absolute without resolving
    links (only a '..' that follows a link is resolved, as the kernel would). An `az://container/key` takes
    its account from the environment. Methods raise `StorageError`, `NotFoundError` or `MissingError`.
    """

    __slots__ = ("_backend", "_key", "url")
    url: str
    _backend: Backend
    _key: str

    def __init__(self, url: str | os.PathLike[str]) -> None:
        text, backend, key = _parse(os.fspath(url))
        _fill(self, text, backend, key)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Location is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Location is immutable: cannot delete {name!r}")

    def __reduce__(self) -> tuple[type[Location], tuple[str]]:
        return Location, (self.url,)

    def __eq__(self, other: object) -> bool:
        return self.url == other.url if isinstance(other, Location) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.url)

    def __repr__(self) -> str:
        return f"Location({self.url!r})"

    def __str__(self) -> str:
        return self.url

    # names

    @property
    def name(self) -> str:
        """The last segment (the bucket's or host's name at the root, "" for '/')."""
        if self.url.startswith(("http://", "https://")):
            parts = urlsplit(self.url)
            return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.netloc
        return self.url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The last suffix of the name, with its dot, in lower case; "" where there is none."""
        name = self.name
        dot = name.rfind(".")
        return name[dot:].lower() if 0 < dot < len(name) - 1 else ""

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        name, suffix = self.name, self.suffix
        return name[: len(name) - len(suffix)]

    @property
    def is_local(self) -> bool:
        """Is it on this machine's file system?"""
        return self._backend.is_local

    @property
    def path(self) -> Path:
        """The local path; `StorageError` for a remote location."""
        if not self.is_local:
            raise StorageError(
                "is not on this machine", where=self.url, fix="download it first, or name a local path"
            )
        return Path(self.url)

    @property
    def parent(self) -> Location:
        """The folder that holds it; a root is its own parent."""
        if self.url.startswith(("http://", "https://")):
            parts = urlsplit(self.url)
            folder = parts.path.rstrip("/").rpartition("/")[0]
            return Location(parts._replace(path=folder or "/").geturl())
        if not self._key or self._key == "/":
            return self
        folder = self._key.rpartition("/")[0]
        if self.is_local:
            return _made(folder or "/", self._backend, folder or "/")
        root = self.url[: len(self.url) - len(self._key)]
        return _made(root + folder if folder else root.rstrip("/"), self._backend, folder)

    def __truediv__(self, part: str) -> Location:
        """The location `part` below this one; refuses what could lead elsewhere ('..', '/x', NUL, "")."""
        clean = _checked_part(part, self.url)
        if self.is_local:
            below = f"{self.url}/{clean}" if self.url != "/" else f"/{clean}"
            return _made(below, self._backend, below)
        if self.url.startswith(("http://", "https://")):
            parts = urlsplit(self.url)
            return Location(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(clean)}").geturl())
        _check_key(clean, f"{self.url}/{clean}")
        return _made(f"{self.url}/{clean}", self._backend, f"{self._key}/{clean}" if self._key else clean)

    # reading

    def read(self) -> bytes:
        """The whole file."""
        return self._backend.read(self._key)

    def read_range(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`, or `StorageError` naming file and offset."""
        return self._backend.read_range(self._key, offset, size)

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """One `bytes` per (offset, size), in the order asked; near ranges share a request remotely."""
        return self._backend.read_ranges(self._key, ranges)

    def stream(self, chunk_bytes: int = 8 << 20, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on, in chunks of about `chunk_bytes`; nothing where `start` is the end."""
        check_range(self.url, start, chunk_bytes)
        if chunk_bytes == 0:
            raise StorageError("cannot stream in chunks of 0 bytes", where=self.url, fix="ask for at least 1")
        return self._backend.stream(self._key, chunk_bytes, start)

    def open(self) -> BinaryIO:
        """A seekable buffered reader (remote: range requests with growing read-ahead)."""
        return self._backend.open(self._key)

    # writing

    def write(self, data: bytes, *, fsync: bool = False) -> None:
        """Put `data` here, whole or not at all, in place of what was here; missing folders are made.

        With `fsync` a local file survives a power failure right after the call.
        """
        self._backend.write(self._key, data, fsync=fsync)

    def writer(self, *, fsync: bool = False) -> AbstractContextManager[BinaryIO]:
        """A file to `.write` and `.tell`; it appears here whole when the block ends without an exception.

        At an exception or kill the location stays as it was. A kill leaves a `.{name}.{random}.tmp` beside a
        local file (listings skip it, `remove_leftovers` removes it), or an unfinished multipart upload, which
        the bucket's life-cycle rules should expire.
        """
        return self._backend.writer(self._key, fsync=fsync)

    def upload(self, local: Path) -> None:
        """Put the local file here, whole or not at all."""
        self._backend.upload(self._key, Path(local))

    def download(self, target: Path) -> None:
        """Put the file at the local path `target`, whole or not at all."""
        with Location(target).writer() as file:
            for chunk in self.stream():
                file.write(chunk)

    # looking around

    def stat(self) -> Entry | None:
        """Size, time and etag of the file (`path` is its name); None where there is no file."""
        return self._backend.stat(self._key)

    def exists(self) -> bool:
        """Is there a file here, a folder, or (remotely) anything below this prefix?"""
        return self.stat() is not None or self.is_dir()

    def is_dir(self) -> bool:
        """Is it a folder, or (remotely) a prefix with something below it?"""
        return self._backend.is_dir(self._key)

    def list(self, *, recursive: bool = True) -> Iterator[Entry]:
        """The files below, sorted by path in byte order; a folder that does not exist holds none.

        Pages are fetched as they are consumed. Leftovers of interrupted writes are skipped. Locally links to
        files are listed, links to folders are not entered.
        """
        return self._backend.list(self._key, recursive=recursive)

    # upkeep

    def delete(self) -> None:
        """Remove the file; a missing one is fine."""
        self._backend.delete(self._key)

    def delete_tree(self) -> None:
        """Remove everything below; refuses '/', a whole bucket, the home folder and what holds it."""
        self._backend.delete_tree(self._key)

    def make_dirs(self) -> None:
        """Make the folder and its parents; object stores need none."""
        self._backend.make_dirs(self._key)

    def is_writable(self) -> None:
        """Raise `StorageError` with what to do where nothing can be written (tried with a small file)."""
        self._backend.check_writable(self._key)

    def remove_leftovers(self) -> None:
        """Remove the unfinished files that killed writers left below; those of living writers stay.

        Remotely nothing unfinished has a name; unfinished multipart uploads are for life-cycle rules to expire.
        """
        self._backend.remove_leftovers(self._key)


def locate(url: str) -> Location:
    """`Location(url)`, remembered for hot paths; relative paths are not, as the working folder may change."""
    return _located(url) if url.startswith("/") or "://" in url else Location(url)


@lru_cache(maxsize=16384)
def _located(url: str) -> Location:
    return Location(url)


def _fill(location: Location, url: str, backend: Backend, key: str) -> None:
    object.__setattr__(location, "url", url)
    object.__setattr__(location, "_backend", backend)
    object.__setattr__(location, "_key", key)


def _made(url: str, backend: Backend, key: str) -> Location:
    """A location from parts that are known to be good, without parsing."""
    location = Location.__new__(Location)
    _fill(location, url, backend, key)
    return location


def _parse(text: str) -> tuple[str, Backend, str]:
    if not text or "\0" in text:
        raise StorageError("a location is neither empty nor holds NUL", where=repr(text), fix="name a path")
    match = _SCHEME.match(text)
    if match is None:
        return _local(text)
    scheme, rest = match[1].lower(), match[2]
    if scheme == "file":
        return _local(_file_path(text, rest))
    if scheme in ("http", "https"):
        return _http(text)
    if scheme in ("s3", "gs", "az"):
        return _object(scheme, rest)
    near = _OTHER_NAMES.get(scheme)
    raise StorageError(
        f"{scheme}:// is not a place we know",
        where=text,
        fix=f"write {near}://bucket/key"
        if near
        else "use a path, file://, s3://, gs://, az:// or http(s)://",
    )


def _local(text: str) -> tuple[str, Backend, str]:
    path = _absolute(f"{Path.home()}{text[1:]}" if text == "~" or text.startswith("~/") else text)
    _check_encodable(path)
    return path, _LOCAL, path


def _absolute(path: str) -> str:
    """Absolute, without '.', '//' and trailing '/'; a '..' after a link leaves the link's target."""
    done = "/"
    whole = path if path.startswith("/") else f"{Path.cwd()}/{path}"
    for part in whole.split("/"):
        if part == "..":
            here = Path(done)
            done = str((here.resolve() if here.is_symlink() else here).parent)
        elif part not in ("", "."):
            done = f"{done}/{part}" if done != "/" else f"/{part}"
    return done


def _file_path(text: str, rest: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise StorageError("a file:// URL names no other host", where=text, fix="write file:///path")
    decoded = unquote(f"/{path}")
    if "\0" in decoded:
        raise StorageError("a location holds no NUL", where=text, fix="remove %00")
    return decoded


def _object(scheme: str, rest: str) -> tuple[str, Backend, str]:
    bucket, _, key = rest.partition("/")
    key = key.removesuffix("/")
    url = f"{scheme}://{bucket}/{key}" if key else f"{scheme}://{bucket}"
    if not _BUCKET.fullmatch(bucket):
        raise StorageError("no valid bucket name", where=url, fix=f"write {scheme}://bucket/key")
    if key:
        _check_key(key, url)
    from sluice.storage.remote import bucket_backend  # only remote locations pay for it

    return url, bucket_backend(scheme, bucket), key


def _http(text: str) -> tuple[str, Backend, str]:
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as error:
        raise StorageError(f"not a URL ({error})", where=text, fix="write https://host/path") from error
    if not host or _CONTROL.search(text):
        raise StorageError("not a URL", where=repr(text), fix="write https://host/path")
    _check_encodable(text)
    clean = parts._replace(
        scheme=parts.scheme.lower(),
        path=quote(parts.path, safe=_HTTP_SAFE) or "/",
        query=quote(parts.query, safe=_HTTP_SAFE + "?"),
        fragment="",
    ).geturl()
    from sluice.storage.remote import http_backend

    return clean, http_backend(), clean


def _checked_part(part: str, url: str) -> str:
    clean = part.removesuffix("/")
    segments = clean.split("/")
    if "\0" in part or not all(segments) or ".." in segments or "." in segments:
        raise StorageError(
            f"{part!r} does not name something below",
            where=url,
            fix="use a relative path without empty, '.' or '..' segments and without NUL",
        )
    _check_encodable(clean)
    return clean


def _check_key(key: str, url: str) -> None:
    segments = key.split("/")
    if not all(segments) or "." in segments or ".." in segments or _CONTROL.search(key):
        raise StorageError(
            "this key cannot be addressed",
            where=repr(url),
            fix="object keys may not hold empty, '.' or '..' segments or control characters",
        )
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise StorageError("the key is not Unicode text", where=repr(url), fix="rename the object") from error


def _check_encodable(path: str) -> None:
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise StorageError("the name is not Unicode text", where=repr(path), fix="rename the file") from error
