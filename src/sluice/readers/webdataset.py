"""Reads WebDataset tars: members grouped by key, as views into the tar wherever it can be addressed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from sluice.errors import ReadError, StorageError, UsageError
from sluice.readers.blocks import Blocks, FileBlocks, StreamBlocks
from sluice.readers.groups import Group, Places, groups, key_hash
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.shard import REMOTE_BYTES, is_compressed, is_tar, opened_blocks, slice_file
from sluice.readers.source import Source
from sluice.readers.tar import tar_members
from sluice.sample import Item, Media, Sample, sample_id
from sluice.sample.members import member_type
from sluice.storage import Location

SLICE_SAMPLES = 512
SLICE_BYTES = 256 << 20


class WebDatasetReader:
    """Tar shards (`.tar`, `.tar.gz`, `.tgz`, `.tar.zst`, `.tar.bz2`, `.tar.lz4`).

    A sample's row is its number within its shard. Uncompressed tars are addressed by byte ranges; a remote
    slice is fetched once into an unnamed temporary file (its samples have their bytes in hand as well);
    compressed tars are read through twice, first for their headers, because a key that stands in two places
    must fail as a whole.
    """

    format: ClassVar[str] = "webdataset"
    version: ClassVar[int] = 1

    def __init__(self, source: Location, *, columns: dict[str, str] | None = None) -> None:
        if columns:
            raise UsageError("tar shards have no columns", fix="remove `columns:`")
        self.source = Source.of(source)
        self.addressable = not any(is_compressed(f.path) for f in self._shards())

    def _shards(self) -> Iterator[FileStat]:
        named = self.source.names is not None
        return (f for f in self.source.files() if named or is_tar(f.path))

    def slices(self) -> Iterator[Slice]:
        """Uncompressed shards in ranges of up to 512 samples or 256 MB; compressed and remote ones whole."""
        for file in self._shards():
            whole = Slice((file,), size_bytes=file.size)
            remote = not self.source.root.is_local
            if is_compressed(file.path) or (remote and file.size <= REMOTE_BYTES):
                yield whole
                continue
            try:
                with self.source.locate(file).open() as opened:
                    yield from _cut(file, opened_blocks(opened, file))
            except (ReadError, StorageError):
                yield whole  # reading it will tell what is wrong, as a counted failure

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The samples of a slice; a key with unusable members is one sample with a `read` note."""
        file = part.files[0]
        try:
            place = self.source.locate(file)
            found = self._compressed(part, place) if is_compressed(file.path) else self._plain(part, place)
            for row, (group, bodies) in enumerate(found):
                if rows is None or row in rows:
                    yield _sample(group, bodies, file, place, part.first_row + row)
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except StorageError as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    def _plain(self, part: Slice, place: Location) -> Iterator[tuple[Group, list[bytes]]]:
        with slice_file(part, place) as (fd, base):

            def blocks() -> FileBlocks:
                return FileBlocks(fd, place.url, base)

            if part.samples is not None:
                apart = dict(part.apart)
            else:
                apart = _apart(groups(tar_members(blocks(), part.start, part.stop)))
            body = FileBlocks(fd, place.url, base)
            for group in _whole(groups(tar_members(blocks(), part.start, part.stop)), apart):
                in_hand = not place.is_local
                yield group, [body.at(m.offset, m.size) for _, m in group.members] if in_hand else []

    def _compressed(self, part: Slice, place: Location) -> Iterator[tuple[Group, list[bytes]]]:
        suffix = place.suffix
        with slice_file(part, place) as (fd, _):
            apart = _apart(groups(tar_members(StreamBlocks(fd, suffix))))
            blocks = StreamBlocks(fd, suffix)
            members = tar_members(blocks)
            for group in _whole(groups(members, lambda m: blocks.at(m.offset, m.size)), apart):
                yield group, group.bodies


@dataclass(slots=True)
class _Cut:
    start: int
    group: int


def _cut(file: FileStat, blocks: Blocks) -> Iterator[Slice]:
    """Cut a shard by its headers: after 512 groups or 256 MB, where a group begins cleanly."""
    places = Places()
    cuts = [_Cut(0, 0)]
    for number, group in enumerate(groups(tar_members(blocks))):
        enough = number - cuts[-1].group >= SLICE_SAMPLES or group.start - cuts[-1].start >= SLICE_BYTES
        if enough and group.clean:
            cuts.append(_Cut(group.start, number))
        places.add(group)
    apart, count, row = places.apart(), len(places), 0
    for k, cut in enumerate(cuts):
        after = cuts[k + 1] if k + 1 < len(cuts) else None
        last = after.group if after is not None else count
        end = after.start if after is not None else None
        inside = apart.new(cut.group, last)
        size = (file.size if end is None else end) - cut.start
        yield Slice((file,), cut.start, end, row, inside, size, apart.within(cut.group, last))
        row += inside


def _apart(found: Iterable[Group]) -> dict[int, bool]:
    places = Places()
    for group in found:
        places.add(group)
    return dict.fromkeys(places.apart().firsts, True)


def _whole(found: Iterable[Group], apart: dict[int, bool]) -> Iterator[Group]:
    """The groups, each key once: one that stands in several places fails, where it is met first."""
    if not apart:
        yield from found
        return
    reported: set[int] = {key for key, here in apart.items() if not here}
    for group in found:
        key = key_hash(group.key) if group.key else -1
        if key in reported:
            continue
        if key in apart:
            reported.add(key)
            group.trouble = group.trouble or "members not adjacent"
            group.members, group.bodies = [], []
        yield group


def _sample(group: Group, bodies: list[bytes], file: FileStat, place: Location, row: int) -> Sample:
    if group.trouble:
        key = group.key or file.path
        return failed_sample(file.path, key, row, group.trouble, f"{file.path}: {group.detail}")
    items = []
    address = not is_compressed(file.path)
    for k, (name, member) in enumerate(group.members):
        modality, mime = member_type(name)
        data = bodies[k] if bodies else None
        media = Media(place.url, member.offset, member.size, data=data) if address else Media(data=data)
        items.append(Item(modality, mime, name, media=media))
    return Sample(sample_id(file.path, group.key, row), group.key, tuple(items))
