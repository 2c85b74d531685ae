"""Remembers downloads: what came, and what will not come, so that no address is asked twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sluice.errors import NotFoundError, StorageError, UnavailableError
from sluice.storage.download import Downloaded, Downloader, DownloadError
from sluice.storage.location import Location

_folder: Location | None = None


def use(store: Location | None) -> None:
    """Let this process's downloads lie in a store's `downloads` folder; None remembers nothing."""
    global _folder
    _folder = store / "downloads" if store is not None else None


@dataclass(frozen=True, slots=True)
class Kept:
    """What an address gave: the bytes, their SHA-256 in hexadecimal, and the address after redirections."""

    data: bytes
    sha256: str
    url: str


def download(url: str, downloader: Downloader, asked: object) -> Kept:
    """What is at an address, from the folder that `use` named where it is known. Raises DownloadError.

    `asked` is what the outcome depends on besides the address, as JSON: limits, for instance. Bytes and
    refusals are on disk, each file whole or not at all, before they are used; what may pass is not remembered. The
    same bytes at several addresses are kept once.
    """
    if _folder is None:
        got = downloader.get(url)
        return Kept(got.data, hashlib.sha256(got.data).hexdigest(), got.url)
    key = hashlib.sha256(
        json.dumps([url, asked], sort_keys=True).encode("utf-8", "surrogatepass")
    ).hexdigest()
    entry = _folder / "answers" / key[:2] / f"{key}.json"
    known = _read(entry)
    if known is not None and "reason" in known:
        raise DownloadError(known["reason"], known["detail"])
    if known is not None:
        data = _bytes(_content(_folder, known["sha256"]), known["sha256"])
        if data is not None:
            return Kept(data, known["sha256"], known["final_url"])
    try:
        got = downloader.get(url)
    except DownloadError as error:
        if not error.passing:
            _write(entry, _json({"url": url, "reason": error.reason, "detail": error.what}))
        raise
    return _keep(_folder, entry, url, got)


def _keep(folder: Location, entry: Location, url: str, got: Downloaded) -> Kept:
    digest = hashlib.sha256(got.data).hexdigest()
    content = _content(folder, digest)
    if content.stat() is None:
        _write(content, got.data)
    _write(entry, _json({"url": url, "final_url": got.url, "sha256": digest, "size_bytes": len(got.data)}))
    return Kept(got.data, digest, got.url)


def _content(folder: Location, digest: str) -> Location:
    return folder / "contents" / digest[:2] / digest


def _bytes(content: Location, digest: str) -> bytes | None:
    """The bytes kept under a digest; None where they are gone or are not those any more."""
    try:
        data = content.read()
    except NotFoundError:
        return None
    if hashlib.sha256(data).hexdigest() == digest:
        return data
    content.delete()
    return None


def _read(entry: Location) -> dict[str, Any] | None:
    try:
        found = json.loads(entry.read())
    except (NotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _write(place: Location, data: bytes) -> None:
    try:
        place.write(data)
    except (
        StorageError
    ) as error:  # no image's doing: a full disk must not make unreadable images of all that follow
        raise UnavailableError(
            f"a download cannot be kept: {error.what}",
            where=place.url,
            fix="make room there, and run the same command again",
        ) from error
