"""Bytes that a table only refers to: found by path, member and range, and compared with the tar before use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sluice.errors import ReadError, StorageError
from sluice.readers.blocks import FileBlocks
from sluice.readers.shard import is_compressed, is_tar, whole_file
from sluice.readers.table import Origin, find_beside
from sluice.readers.tar import BLOCK, Member, tar_members
from sluice.readers.tar_index import TarIndex
from sluice.sample import Media
from sluice.storage import Location, locate


@dataclass(frozen=True, slots=True)
class SourceRef:
    """Where an item's bytes lie: a file, or a member of a tar, and where in it; `page` of a TIFF, from 0."""

    path: str
    member: str | None = None
    offset: int | None = None
    size: int | None = None
    page: int | None = None

    @classmethod
    def parse(cls, text: str) -> SourceRef:
        """The reference in its JSON (`{path, member, byte_offset, byte_size, frame_index}`), or `ReadError`."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ReadError("malformed source_ref", str(error)) from error
        if not isinstance(value, dict) or not isinstance(value.get("path"), str):
            raise ReadError("malformed source_ref", "it names no path")
        member = value.get("member")
        numbers = [_number(value, name) for name in ("byte_offset", "byte_size", "frame_index")]
        return cls(value["path"], member if isinstance(member, str) else None, *numbers)

    def text(self) -> str:
        """The reference as its JSON."""
        value: dict[str, Any] = {
            "path": self.path,
            "member": self.member,
            "byte_offset": self.offset,
            "byte_size": self.size,
        }
        return json.dumps(
            value | ({} if self.page is None else {"frame_index": self.page}), ensure_ascii=False
        )


def page_of(text: str | None) -> int | None:
    """The page that a reference names, where it names one at all."""
    try:
        return SourceRef.parse(text).page if text else None
    except ReadError:
        return None


def _number(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise ReadError("malformed source_ref", f"`{name}` is {found!r}")
    return found


class References:
    """Finds what references name, among the files of the source and below `root`; remembers the last tar's index."""

    def __init__(self, root: Location | None = None) -> None:
        self._root = root
        self._known: tuple[str, TarIndex] | None = None

    def find(self, ref: SourceRef, origin: Origin) -> Media:
        """The view of a reference's bytes. `ReadError` where they are not there, or not where it says.

        A range in a tar is compared with the member's header, name and size, so that a wrong one never gives other
        bytes. Members of a compressed tar have no address: it is read through, and a reference with an offset into
        one is wrong.
        """
        page = ref.page or None
        place, size = _place(ref.path, origin, self._root)
        if not is_tar(ref.path):
            return _range(ref, place, size, page)
        if is_compressed(ref.path):
            return self._unpacked(ref, place, page)
        try:
            member = self._member(ref, place)
        except StorageError as error:
            raise ReadError("file missing", error.what) from error
        return Media(place.url, member.offset, member.size, page=page)

    def _member(self, ref: SourceRef, place: Location) -> Member:
        if ref.offset is not None and place.is_local:
            with place.open() as opened:
                found = _before(FileBlocks(opened.fileno(), place.url), ref.offset)
            if found is not None and _fits(ref, found):
                return found
        with whole_file(place) as (blocks, _):
            if self._known is None or self._known[0] != place.url:
                self._known = (place.url, TarIndex.of(blocks))
            # Of a name that does not fit its header block the header is no match: the index tells.
            named = self._known[1].find(blocks, ref.member) if ref.member else None
        if isinstance(named, str):
            raise ReadError(named, f"{ref.member!r} in {ref.path}")
        if named is not None and _fits(ref, named):
            return named
        if ref.offset is None:
            raise ReadError("missing image", f"no member {ref.member!r} in {ref.path}")
        raise ReadError(
            "wrong byte range", f"no member {ref.member!r} of these bytes at {ref.offset} of {ref.path}"
        )

    def _unpacked(self, ref: SourceRef, place: Location, page: int | None) -> Media:
        if ref.offset is not None:
            raise ReadError("offset into a compressed tar", f"{ref.offset} of {ref.path}")
        if not ref.member:
            raise ReadError("malformed source_ref", f"it names no member of {ref.path}")
        with whole_file(place) as (blocks, broken):
            member = TarIndex.of(blocks, broken).find(blocks, ref.member)
            if isinstance(member, str):
                raise ReadError(member, f"{ref.member!r} in {ref.path}")
            if member is None:
                raise ReadError("missing image", f"no member {ref.member!r} in {ref.path}")
            data = blocks.at(member.offset, member.size)
        return Media(size=len(data), data=data, page=page)


def _place(path: str, origin: Origin, other: Location | None) -> tuple[Location, int | None]:
    """The file and its size; a path is one beside the table, or an absolute one below the source's root or `other`."""
    base, local = origin, path
    for root in (origin.root, other):
        prefix = root.url.rstrip("/") + "/" if root is not None else ""
        if root is not None and path.startswith(prefix):
            base, local = Origin(root, "table", 0), path.removeprefix(prefix)
            break
    media, trouble = find_beside(str(PurePosixPath(local)), base)
    if media is None:
        raise ReadError(*(trouble or ("file missing", path)))
    return locate(media.uri), media.size


def _range(ref: SourceRef, place: Location, size: int | None, page: int | None) -> Media:
    if ref.offset is None:
        return Media(place.url, 0 if size is not None else None, size, page=page)
    if ref.size is None or (size is not None and ref.offset + ref.size > size):
        raise ReadError("wrong byte range", f"{ref.size} bytes at {ref.offset} of {ref.path}")
    return Media(place.url, ref.offset, ref.size, page=page)


def _before(blocks: FileBlocks, offset: int) -> Member | None:
    """The member whose body begins at `offset`, by the header block before it."""
    if offset < BLOCK or offset % BLOCK:
        return None
    member = next(tar_members(blocks, offset - BLOCK), None)
    return member if member is not None and member.kind == "file" and member.offset == offset else None


def _fits(ref: SourceRef, member: Member) -> bool:
    return (
        ref.member in (None, member.name)
        and ref.offset in (None, member.offset)
        and ref.size in (None, member.size)
    )
