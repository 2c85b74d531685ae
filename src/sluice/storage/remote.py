"""Object stores and web servers through obstore: the same contract as local files, over a network."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from sluice.errors import NotFoundError, StorageError, UnavailableError
from sluice.storage.backend import (
    Entry,
    check_range,
    coalesce,
    is_temporary,
    short_read,
    temporary_name,
)
from sluice.storage.connect import Patience, bucket_store, http_store
from sluice.storage.faults import from_os_error, store_errors
from sluice.storage.transfer import PART_BYTES, RangeReader, Upload

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

    from sluice.storage.connect import AnyStore

_GAP_BYTES = 1 << 20
"""Ranges this near share a request: a request costs some 100 ms, in which a store sends several MB."""

_BUFFER_BYTES = 64 << 10
_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")


class RemoteFiles:
    """What is common to everything that obstore reaches; subclasses say which store serves a key."""

    is_local = False

    def __init__(self, patience: Patience) -> None:
        self.patience = patience

    def _store(self, key: str) -> tuple[AnyStore, str]:
        """The store that serves `key` and the path within it."""
        raise NotImplementedError

    def _url(self, key: str) -> str:
        raise NotImplementedError

    def read(self, key: str) -> bytes:
        """The whole file, of exactly the length that the server announced."""
        return b"".join(self.stream(key, PART_BYTES, 0))

    def read_range(self, key: str, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`, in one request."""
        return self._fetch(key, offset, size, None)

    def _fetch(self, key: str, offset: int, size: int, etag: str | None) -> bytes:
        from obstore import get

        url = self._url(key)
        check_range(url, offset, size)
        if size == 0:
            return b""
        store, path = self._store(key)
        options: GetOptions = {"range": (offset, offset + size)}
        if etag is not None:
            options["if_match"] = etag
        with store_errors(f"{url} at offset {offset}"):
            data = get(store, path, options=options).bytes().to_bytes()
        if len(data) != size:
            raise short_read(url, offset, size, len(data))
        return data

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Near ranges in one request, far ones in parallel.

        Merged here and not by obstore, which breaks off without a catchable error where a merged range runs
        past the end of the file.
        """
        from obstore import get_ranges

        url = self._url(key)
        for offset, size in ranges:
            check_range(url, offset, size)
        spans, places = coalesce(ranges, _GAP_BYTES)
        if not spans:
            return [b""] * len(ranges)
        store, path = self._store(key)
        starts, lengths = [start for start, _ in spans], [size for _, size in spans]
        with store_errors(f"{url} at offsets {starts[0]}…{starts[-1]}"):
            blocks = get_ranges(store, path, starts=starts, lengths=lengths, coalesce=0)
        for (start, size), block in zip(spans, blocks, strict=True):
            if len(block) != size:
                raise short_read(url, start, size, len(block))
        views = [memoryview(block) for block in blocks]
        return [
            bytes(views[span][at : at + size]) if span >= 0 else b""
            for (span, at), (_, size) in zip(places, ranges, strict=True)
        ]

    def stream(self, key: str, chunk_bytes: int, start: int) -> Iterator[bytes]:
        """The bytes from `start` on in one request; a body that ends early is an error."""
        from obstore import get

        url = self._url(key)
        store, path = self._store(key)
        options: GetOptions | None = {"range": {"offset": start}} if start else None
        try:
            with store_errors(_at(url, start)):
                result = get(store, path, options=options)
                first, end = result.range
                chunks = iter(result.stream(chunk_bytes))
        except StorageError:
            found = self.stat(key) if start else None
            if found is not None and start == found.size:  # a server has no range to give there
                return
            raise
        position = first
        while True:
            with store_errors(_at(url, position)):
                chunk = next(chunks, None)
            if chunk is None:
                break
            position += len(chunk)
            yield bytes(chunk)
        if position != end:
            raise short_read(url, first, end - first, position - first)

    def open(self, key: str) -> BinaryIO:
        """A seekable reader of the version that is there now; a later version is an error, not a mixture."""
        found = self._head(key)
        if found is None:
            raise NotFoundError("there is no such object", where=self._url(key), fix="check bucket and key")
        size, etag = found["size"], found["e_tag"]
        reader = RangeReader(lambda offset, count: self._fetch(key, offset, count, etag), size)
        return io.BufferedReader(reader, _BUFFER_BYTES)

    def stat(self, key: str) -> Entry | None:
        """What a HEAD request tells; None where there is nothing."""
        found = self._head(key)
        return None if found is None else _entry(found, _last_segment(self._url(key)))

    def _head(self, key: str) -> ObjectMeta | None:
        from obstore import head

        store, path = self._store(key)
        try:
            with store_errors(self._url(key)):
                return head(store, path)
        except NotFoundError:
            return None


class Bucket(RemoteFiles):
    """One bucket (container) of S3, Google Cloud Storage or Azure; keys are object keys."""

    def __init__(self, scheme: str, bucket: str, patience: Patience) -> None:
        super().__init__(patience)
        self.scheme, self.bucket = scheme, bucket

    def _store(self, key: str) -> tuple[AnyStore, str]:
        return bucket_store(self.scheme, self.bucket, self.patience), key

    def _url(self, key: str) -> str:
        return f"{self.scheme}://{self.bucket}/{key}" if key else f"{self.scheme}://{self.bucket}"

    def stat(self, key: str) -> Entry | None:
        """What a HEAD request tells; None where there is nothing, and for the bucket itself."""
        return super().stat(key) if key else None

    def write(self, key: str, data: bytes, *, fsync: bool) -> None:
        """Put `data` under `key`, whole or not at all; a store's reply means that it is safe."""
        from obstore import put

        store, path = self._target(key)
        with store_errors(self._url(key)):
            put(store, path, data, use_multipart=len(data) > 2 * PART_BYTES, chunk_size=PART_BYTES)

    @contextmanager
    def writer(self, key: str, *, fsync: bool) -> Iterator[BinaryIO]:
        """A file whose object appears only when the block ends without an exception."""
        store, path = self._target(key)
        upload = Upload(store, path, self._url(key))
        try:
            yield cast(BinaryIO, upload)
            upload.commit()
        except BaseException:
            upload.abandon()
            raise
        finally:
            upload.close()

    def upload(self, key: str, source: Path) -> None:
        """Put the local file under `key`, whole or not at all."""
        try:
            with source.open("rb") as file, self.writer(key, fsync=False) as target:
                while chunk := file.read(1 << 20):
                    target.write(chunk)
        except OSError as error:
            raise from_os_error(error, str(source)) from error

    def is_dir(self, key: str) -> bool:
        """Is there something below the prefix (or is it a bucket that exists)?"""
        try:
            for _ in self._list(key, recursive=True, verify=False):
                return True
        except NotFoundError:
            return False
        return not key

    def list(self, key: str, *, recursive: bool) -> Iterator[Entry]:
        """The objects below, by key in byte order; fetched by pages of a thousand."""
        for entry in self._in_order(self._list(key, recursive=recursive, verify=True), key):
            if not is_temporary(_last_segment(entry.path)):
                yield entry

    def _in_order(self, entries: Iterator[Entry], key: str) -> Iterator[Entry]:
        if not self._is_ordered:
            yield from sorted(entries, key=lambda entry: entry.path)
            return
        last = ""
        for entry in entries:
            if entry.path < last:
                raise StorageError(
                    f"the store lists {entry.path!r} after {last!r}, out of order",
                    where=self._url(key),
                    fix="this store is not supported as a source; copy the files elsewhere first",
                )
            last = entry.path
            yield entry

    def _list(self, key: str, *, recursive: bool, verify: bool) -> Iterator[Entry]:
        skip = len(key) + 1 if key else 0
        for page in self._pages(key, recursive):
            for found in page:
                path = found["path"][skip:]
                if path and not (verify and found["size"] == 0 and self._head(found["path"]) is None):
                    yield _entry(found, path)

    def _pages(self, key: str, recursive: bool) -> Iterator[Sequence[ObjectMeta]]:
        """The pages of a listing. One whose body breaks off is asked for again: obstore does so for files only."""
        after: str | None = None
        failures = 0
        pages = self._listing(key, recursive, after)
        while True:
            try:
                with store_errors(self._url(key)):
                    page = next(pages, None)
            except UnavailableError as error:
                failures += 1
                resumable = after is None or self._is_ordered
                if "response body" not in error.what or failures > self.patience.retries or not resumable:
                    raise
                time.sleep(self.patience.backoff_s)
                pages = self._listing(key, recursive, after)
                continue
            if page is None:
                return
            yield page
            failures = 0
            after = page[-1]["path"] if page else after

    def _listing(self, key: str, recursive: bool, after: str | None) -> Iterator[Sequence[ObjectMeta]]:
        from obstore import list as list_objects
        from obstore import list_with_delimiter

        store, _ = self._store(key)
        if recursive:
            yield from list_objects(store, key or None, offset=after, chunk_size=1000)
        else:
            yield list_with_delimiter(store, key or None)["objects"]

    @property
    def _is_ordered(self) -> bool:
        # Azure's hierarchical accounts and S3's directory buckets list in an order of their own.
        return self.scheme != "az" and not self.bucket.endswith("--x-s3")

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is fine."""
        from obstore import delete

        store, path = self._target(key)
        with suppress(NotFoundError), store_errors(self._url(key)):
            delete(store, path)

    def delete_tree(self, key: str) -> None:
        """Remove every object below the prefix; refuses a whole bucket."""
        from obstore import delete
        from obstore import list as list_objects

        if not key:
            raise StorageError(
                "refusing to delete a whole bucket", where=self._url(key), fix="name a prefix inside it"
            )
        store, _ = self._store(key)
        with store_errors(self._url(key)):
            for page in list_objects(store, key, chunk_size=1000):
                below = [found["path"] for found in page if found["path"] != key]
                if below:
                    delete(store, below)

    def make_dirs(self, key: str) -> None:
        """Nothing: a prefix exists as soon as an object below it does."""

    def check_writable(self, key: str) -> None:
        """Put and remove a small object below the prefix."""
        probe = f"{key}/{temporary_name('probe')}" if key else temporary_name("probe")
        self.write(probe, b"sluice", fsync=False)
        self.delete(probe)

    def remove_leftovers(self, key: str) -> None:
        """Remove probes directly below whose run was killed before it could; losing one harms nobody."""
        for entry in list(self._list(key, recursive=False, verify=False)):
            if is_temporary(_last_segment(entry.path)):
                self.delete(f"{key}/{entry.path}" if key else entry.path)

    def _target(self, key: str) -> tuple[AnyStore, str]:
        if not key:
            raise StorageError(
                "a bucket is not a file", where=self._url(key), fix="name an object inside the bucket"
            )
        return self._store(key)


class WebFiles(RemoteFiles):
    """Files of web servers, read only; keys are whole URLs."""

    def _store(self, key: str) -> tuple[AnyStore, str]:
        parts = urlsplit(key)
        if not parts.query and _PLAIN_PATH.fullmatch(parts.path):
            return http_store(f"{parts.scheme}://{parts.netloc}", self.patience), parts.path[1:]
        # A client for this file alone sends its path and query untouched, as a signed URL needs.
        return http_store(key, self.patience), ""

    def _url(self, key: str) -> str:
        return key

    def is_dir(self, key: str) -> bool:
        """Never: web servers have files only."""
        return False

    def list(self, key: str, *, recursive: bool) -> Iterator[Entry]:
        """Web servers cannot be listed."""
        raise StorageError(
            "a web server cannot list its files", where=key, fix="name each file, or give a list of URLs"
        )

    def write(self, key: str, data: bytes, *, fsync: bool) -> None:
        """Web servers are read only."""
        raise _read_only(key)

    def writer(self, key: str, *, fsync: bool) -> AbstractContextManager[BinaryIO]:
        """Web servers are read only."""
        raise _read_only(key)

    def upload(self, key: str, source: Path) -> None:
        """Web servers are read only."""
        raise _read_only(key)

    def delete(self, key: str) -> None:
        """Web servers are read only."""
        raise _read_only(key)

    def delete_tree(self, key: str) -> None:
        """Web servers are read only."""
        raise _read_only(key)

    def make_dirs(self, key: str) -> None:
        """Web servers are read only."""
        raise _read_only(key)

    def check_writable(self, key: str) -> None:
        """Web servers are read only."""
        raise _read_only(key)

    def remove_leftovers(self, key: str) -> None:
        """Web servers are read only."""
        raise _read_only(key)


@lru_cache(maxsize=256)
def bucket_backend(scheme: str, bucket: str) -> Bucket:
    """The one backend for a bucket."""
    return Bucket(scheme, bucket, Patience())


@lru_cache(maxsize=1)
def http_backend() -> WebFiles:
    """The one backend for all web servers."""
    return WebFiles(Patience())


def _read_only(url: str) -> StorageError:
    return StorageError(
        "web servers are read only", where=url, fix="write to a local path, s3://, gs:// or az://"
    )


def _at(url: str, offset: int) -> str:
    return f"{url} at offset {offset}" if offset else url


def _last_segment(path: str) -> str:
    if path.startswith(("http://", "https://")):
        return unquote(urlsplit(path).path.rstrip("/").rpartition("/")[2])
    return path.rpartition("/")[2]


def _entry(found: ObjectMeta, path: str) -> Entry:
    etag = found["e_tag"]
    return Entry(path, found["size"], _nanoseconds(found["last_modified"]), etag and etag.strip('"'))


def _nanoseconds(when: datetime) -> int | None:
    """Since the epoch; obstore gives the epoch itself where the server does not tell."""
    seconds = int(when.replace(microsecond=0).timestamp())
    return seconds * 1_000_000_000 + when.microsecond * 1000 or None
