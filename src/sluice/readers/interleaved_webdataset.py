"""Reads interleaved documents from tars (MINT-1T's layout): a `.json` member a document, its images beside it."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Literal

from sluice.errors import ReadError, SourceError, StorageError, UsageError
from sluice.readers.blocks import Blocks, FileBlocks
from sluice.readers.document_json import DocumentSettings, Lists, document_lists
from sluice.readers.documents import DocumentBuilder, Trouble
from sluice.readers.groups import MOST_IN_HAND, key_hash
from sluice.readers.jsonl import json_object
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.shard import is_compressed, is_tar, opened_blocks, whole_file
from sluice.readers.source import Source
from sluice.readers.tar import Member, tar_members
from sluice.readers.tar_index import TarIndex, member_at
from sluice.sample import Media, Sample, sample_id
from sluice.sample.members import member_type
from sluice.storage import Location

SLICE_SAMPLES = 512
SLICE_BYTES = 256 << 20
LONGEST_JSON = 64 << 20
"""Bytes of one document's JSON that are held in memory; a larger one fails."""

KNOWN_SHARDS = 16
"""Shards whose index is remembered: 300 KB each, for shards of 1 GB."""

EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif")
"""Extensions that are tried, in this order, after the name of a document whose images name no member."""

_LOOKED_AT = 64
_TIFF = ("image/tiff",)

MissingImage = Literal["fail_sample", "drop_item", "keep_reference", "stop"]


@dataclass(slots=True)
class _Shard:
    """One opened tar: its bytes, what lies where, and whether members can be addressed there later."""

    file: FileStat
    place: Location
    blocks: Blocks
    index: TarIndex
    addressed: bool


class InterleavedWebDatasetReader:
    """Tars of documents as MINT-1T and NeMo Curator have them (`.tar`, and compressed as of `webdataset`).

    A `.json` member is a document: parallel lists `texts` and `images`, null where the other stands. Its id is
    its `sample_id_field`, else the member's path without extension. An image is the member of that name, else the
    one that the JSON's `image_member_field` names, else the document's name with one of the usual extensions; an
    address (`http://…`) that no member has stays a reference. The k-th reference to one TIFF is its k-th page. Lists
    under `per_image_fields` and `per_text_fields` are dealt to the items in order; what else the JSON holds are
    the sample's fields. `missing_image` says what becomes of a document one of whose images is not there.

    A sample's row is the number of its JSON within the tar. Members that no document names are no samples. Images
    of an uncompressed local tar are views; others are in hand.
    """

    format: ClassVar[str] = "interleaved-webdataset"
    version: ClassVar[int] = 1
    refines: ClassVar[str] = "webdataset"
    addressable = False

    def __init__(
        self,
        source: Location,
        *,
        columns: dict[str, str] | None = None,
        sample_id_field: str = "sample_id",
        image_member_field: str | None = None,
        per_image_fields: Sequence[str] = (),
        per_text_fields: Sequence[str] = (),
        missing_image: MissingImage = "fail_sample",
    ) -> None:
        if columns:
            raise UsageError("tar shards have no columns", fix="remove `columns:`")
        self.source = Source.of(source)
        self.settings = DocumentSettings(sample_id_field, tuple(per_image_fields), tuple(per_text_fields))
        self.image_member_field, self.missing_image = image_member_field, missing_image
        self._known: dict[FileStat, TarIndex] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": {}}

    @classmethod
    def claims(cls, source: Source, file: FileStat) -> bool:
        """Whether the first JSON among the tar's first members holds lists of texts and images."""
        try:
            with source.locate(file).open() as opened:
                if is_compressed(file.path):
                    return False  # as many documents as samples with sidecars are compressed: to be said
                blocks = opened_blocks(opened, file)
                for member in islice(tar_members(blocks), _LOOKED_AT):
                    if member.kind == "file" and member.name.lower().endswith(".json"):
                        value = json.loads(blocks.at(member.offset, min(member.size, LONGEST_JSON)))
                        return isinstance(value, dict) and all(
                            isinstance(value.get(name), list) for name in ("texts", "images")
                        )
        except (ReadError, StorageError, ValueError, RecursionError):
            pass
        return False

    def slices(self) -> Iterator[Slice]:
        """Local uncompressed shards in ranges of up to 512 documents or 256 MB; others whole."""
        for file in self.source.files():
            if self.source.names is None and not is_tar(file.path):
                continue
            if is_compressed(file.path) or not self.source.root.is_local:
                yield Slice((file,), size_bytes=file.size)
                continue
            try:
                with self._opened(file) as shard:
                    yield from _cut(file, shard.index, self._repeated(shard))
            except (ReadError, StorageError):
                yield Slice((file,), size_bytes=file.size)  # reading it will tell what is wrong

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The documents of a slice; one that cannot be read is a sample with a `read` note."""
        file = part.files[0]
        try:
            with self._opened(file) as shard:
                repeated = {n for n, _ in part.apart} if part.samples is not None else self._repeated(shard)
                stop = len(shard.index.entries) if part.stop is None else part.stop
                for number in range(part.start, stop):
                    if rows is None or number - part.start in rows:
                        yield self._sample(shard, number, number in repeated)
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except StorageError as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    @contextmanager
    def _opened(self, file: FileStat) -> Iterator[_Shard]:
        place = self.source.locate(file)
        if place.is_local and not is_compressed(file.path):
            with place.open() as opened:
                blocks = FileBlocks(opened.fileno(), place.url)
                if file not in self._known:
                    if len(self._known) >= KNOWN_SHARDS:
                        del self._known[next(iter(self._known))]
                    self._known[file] = TarIndex.of(blocks)
                yield _Shard(file, place, blocks, self._known[file], addressed=True)
            return
        with whole_file(place) as (spooled, broken):
            yield _Shard(file, place, spooled, TarIndex.of(spooled, broken), addressed=False)

    def _repeated(self, shard: _Shard) -> set[int]:
        """The numbers of documents whose id an earlier one of the shard has."""
        seen: set[int] = set()
        found = set()
        for number, entry in enumerate(shard.index.entries):
            member = None if entry.trouble else member_at(shard.blocks, entry.start)
            if member is None:
                continue
            try:
                digest = key_hash(self.settings.id_of(_json(shard.blocks, member), _stem(member.name)))
            except ReadError:
                continue  # reading it will tell
            if digest in seen:
                found.add(number)
            seen.add(digest)
        return found

    def _sample(self, shard: _Shard, number: int, repeated: bool) -> Sample:
        entry, path = shard.index.entries[number], shard.file.path
        if entry.trouble:
            detail = f"{path}: at offset {entry.start}"
            return failed_sample(path, path, number, entry.trouble, detail)
        member = member_at(shard.blocks, entry.start)
        key = _stem(member.name) if member is not None else path
        try:
            if member is None:
                raise ReadError("file changed", f"no member at offset {entry.start} any more")
            found = document_lists(_json(shard.blocks, member), key, self.settings)
            key = found.id
            if repeated:
                raise ReadError("duplicate id", f"an earlier document of the shard is called {key!r}")
            build = self._document(shard, member, found)
            return build.sample(sample_id(path, key, number), key, found.fields)
        except ReadError as error:
            detail = f"{path}, {member.name if member is not None else 'a member'!r}: {error.what}"
            return failed_sample(path, key, number, error.reason, detail)

    def _document(self, shard: _Shard, member: Member, found: Lists) -> DocumentBuilder:
        build, images = DocumentBuilder(), _Images(shard, member, found.id, self._named(found))
        build.metadata()
        for place in found.places:
            if place.text is not None:
                build.text(place.text, place.fields)
                continue
            name = str(place.image)
            media, where = images.find(name)
            if media is not None:
                build.medium(
                    "image", member_type(where)[1], media, place.fields, extension=where.rpartition(".")[2]
                )
            elif name.startswith(("http://", "https://")) and not where:
                build.medium("image", "", None, {**place.fields, "url": name})
            else:
                self._missing(build, shard, name, where or "missing image", place.fields)
        return build

    def _named(self, found: Lists) -> str | None:
        """The member that the JSON names for all of its images."""
        named = found.fields.get(self.image_member_field) if self.image_member_field else None
        return named if isinstance(named, str) else None

    def _missing(
        self, build: DocumentBuilder, shard: _Shard, name: str, reason: str, fields: Mapping[str, Any]
    ) -> None:
        trouble: Trouble = (reason, f"no member for the image {name!r}")
        if self.missing_image == "fail_sample":
            raise ReadError(*trouble)
        if self.missing_image == "stop":
            raise SourceError(
                f"{trouble[0]}: {trouble[1]}",
                where=shard.place.url,
                fix="say what becomes of such documents with `missing_image`",
            )
        if self.missing_image == "keep_reference":
            ref = json.dumps({"path": None, "member": name}, ensure_ascii=False)
            kept = {**fields, "source_ref": ref, "materialize_error": reason}
            build.medium("image", "", None, kept, extension=name.rpartition(".")[2])


class _Images:
    """Finds the members that one document's images are."""

    def __init__(self, shard: _Shard, document: Member, id: str, named: str | None) -> None:
        self._shard, self._id, self._named = shard, id, named
        self._stem = _stem(document.name)
        self._folder = document.name.rpartition("/")[0]
        self._references: dict[int, int] = {}
        self._in_hand = 0

    def find(self, name: str) -> tuple[Media | None, str]:
        """The view of an image and its member's name; None and why it cannot be had ("" for no such member)."""
        for candidate in self._candidates(name):
            member = self._shard.index.find(self._shard.blocks, candidate)
            if isinstance(member, str):
                return None, member
            if member is not None:
                return self._view(member), member.name
        return None, ""

    def _candidates(self, name: str) -> Iterator[str]:
        for given in (name, self._named):
            if given:
                yield given
                if self._folder and not given.startswith(self._folder + "/"):
                    yield f"{self._folder}/{given}"
        for stem in dict.fromkeys((self._stem, self._id)):
            yield from (stem + extension for extension in EXTENSIONS)

    def _view(self, member: Member) -> Media:
        page = None
        if member_type(member.name)[1] in _TIFF:
            page = self._references.get(member.start, 0)
            self._references[member.start] = page + 1
        if self._shard.addressed:
            return Media(self._shard.place.url, member.offset, member.size, page=page or None)
        self._in_hand += member.size
        if self._in_hand > MOST_IN_HAND:
            raise ReadError("too many bytes", f"more than {MOST_IN_HAND:,} bytes of images in one document")
        data = self._shard.blocks.at(member.offset, member.size)
        if len(data) < member.size:
            raise ReadError("truncated tar", member.name)
        return Media(size=member.size, data=data, page=page or None)


def _json(blocks: Blocks, member: Member) -> dict[str, Any]:
    if member.size > LONGEST_JSON:
        raise ReadError("JSON too long", f"more than {LONGEST_JSON:,} bytes")
    data = blocks.at(member.offset, member.size)
    if len(data) < member.size:
        raise ReadError("truncated tar", member.name)
    return json_object(data)


def _stem(name: str) -> str:
    return name[: -len(".json")].removeprefix("./")


def _cut(file: FileStat, index: TarIndex, repeated: set[int]) -> Iterator[Slice]:
    start = 0
    for number in range(len(index.entries)):
        begin = index.ends[start - 1] if start else 0
        last = number + 1 == len(index.entries)
        if last or number + 1 - start >= SLICE_SAMPLES or index.ends[number] - begin >= SLICE_BYTES:
            stop, end = number + 1, file.size if last else index.ends[number]
            apart = tuple((n, True) for n in sorted(repeated) if start <= n < stop)
            yield Slice((file,), start, stop, start, stop - start, end - begin, apart)
            start = stop
