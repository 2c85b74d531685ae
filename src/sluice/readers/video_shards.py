"""Reads a sharded training set of clips again: the tars of clips, of metadata, and of text embeddings beside them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sluice.codec.array_lists import Form, decoded
from sluice.errors import ReadError, StorageError, UnreadableError, UsageError
from sluice.readers import clip_metadata
from sluice.readers.blocks import FileBlocks
from sluice.readers.clips import LONGEST_JSON
from sluice.readers.groups import Group, groups
from sluice.readers.jsonl import json_object
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.shard import whole_file
from sluice.readers.source import Source
from sluice.readers.tar import Member, tar_members
from sluice.sample import Item, Media, Sample, sample_id
from sluice.sample.members import member_type
from sluice.storage import Location

VIDEO, METAS, EMBEDDINGS = "video", "metas", "t5_xxl"

_TAR = re.compile(r"(?P<folder>.*?)(?P<tree>video|metas|t5_xxl)/(?P<tar>part_\d+/\d+\.tar)")
_VERSION = re.compile(r"(v\d+)/")
_FORMS: dict[str, Form] = {"pickle": "pickle", "safetensors": "safetensors", "npz": "npz"}


@dataclass(slots=True)
class _Tree:
    """One opened tar: where it lies, its bytes, and its members by key."""

    place: Location
    blocks: FileBlocks
    members: dict[str, Group] = field(default_factory=dict)

    def read(self) -> None:
        """Go through its headers."""
        self.members = {group.key: group for group in groups(tar_members(self.blocks))}

    def item(self, member: Member, modality: Any, content_type: str, name: str, **more: Any) -> Item:
        """A member as a view; with its bytes in hand where the tar lies elsewhere."""
        data = None if self.place.is_local else self.blocks.at(member.offset, member.size)
        media = Media(self.place.url, member.offset, member.size, data=data)
        return Item(modality, content_type, name, media=media, fields=more)


class VideoShardsReader:
    """`{bin}/{video,metas,t5_xxl}/part_000000/000000.tar`: a sample a clip, as `ClipsReader` gives it.

    Behind the metadata stand the embeddings of its captions, as they lie there: items `t5_xxl.pickle` (`.safetensors`,
    `.npz`), with the fields `windows`, `tokens` (of each) and `size`. They are looked into, and a pickle that holds
    anything else than a list of arrays of numbers fails its clip; nothing in it is run. With `text_embeddings: false`
    they are left out. `annotation_version` takes the tars of that version alone. The sample's field `shard_bin` is
    the folder of its bin. A clip without metadata or embeddings, or these without a clip, fails alone.
    """

    format: ClassVar[str] = "video-shards"
    version: ClassVar[int] = 1
    addressable = False

    def __init__(
        self,
        source: Location,
        *,
        columns: dict[str, str] | None = None,
        annotation_version: str | None = None,
        text_embeddings: bool = True,
    ) -> None:
        if columns:
            raise UsageError("tar shards have no columns", fix="remove `columns:`")
        self.source = Source.of(source)
        self.annotation_version, self.text_embeddings = annotation_version, text_embeddings

    @classmethod
    def laid_out(cls, source: Source, files: Sequence[FileStat]) -> bool:
        """Whether there is a tar of clips with one of metadata, in folders of these names."""
        found: dict[str, set[str]] = {}
        for file in files:
            told = _TAR.fullmatch(file.path)
            if told is not None:
                found.setdefault(told["folder"] + told["tar"], set()).add(told["tree"])
        return any({VIDEO, METAS} <= trees for trees in found.values())

    def slices(self) -> Iterator[Slice]:
        """Each tar of clips with those beside it."""
        folder, beside = "", dict[str, dict[str, FileStat]]()
        for file in self.source.files():
            told = _TAR.fullmatch(file.path)
            if told is None or not self._is_wanted(told["folder"]):
                continue
            if told["folder"] != folder:
                folder, beside = told["folder"], {}
            # In byte order metadata and embeddings of a bin come before its clips.
            beside.setdefault(told["tree"], {})[told["tar"]] = file
            if told["tree"] == VIDEO:
                others = [beside.get(tree, {}).get(told["tar"]) for tree in (METAS, EMBEDDINGS)]
                yield Slice((file, *(f for f in others if f is not None)), size_bytes=file.size)

    def _is_wanted(self, folder: str) -> bool:
        return self.annotation_version in (None, _version(folder))

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The clips of a slice in the order of their tar, then what lies beside it without a clip."""
        file = part.files[0]
        try:
            with ExitStack() as stack:
                trees = {}
                for each in part.files:
                    place = self.source.locate(each)
                    blocks, _ = stack.enter_context(whole_file(place))
                    told = _TAR.fullmatch(each.path)
                    assert told is not None
                    trees[told["tree"]] = _Tree(place, blocks)
                yield from self._clips(file, trees, rows)
        except ReadError as error:
            yield failed_sample(file.path, file.path, 0, error.reason, error.what)
        except StorageError as error:
            yield failed_sample(file.path, file.path, 0, "file not readable", str(error))

    def _clips(
        self, file: FileStat, trees: dict[str, _Tree], rows: Container[int] | None
    ) -> Iterator[Sample]:
        for name, tree in trees.items():
            if name != VIDEO:
                tree.read()
        seen: set[str] = set()
        row = -1
        for row, group in enumerate(groups(tar_members(trees[VIDEO].blocks))):
            again = group.key in seen
            seen.add(group.key)
            if rows is None or row in rows:
                yield self._sample(file, row, group, trees, again)
        lost = {key: None for name, tree in trees.items() if name != VIDEO for key in tree.members}
        for more, key in enumerate((key for key in lost if key not in seen), row + 1):
            if rows is None or more in rows:
                yield failed_sample(file.path, key, more, "no clip", f"{file.path} has no clip {key!r}")

    def _sample(self, file: FileStat, row: int, group: Group, trees: dict[str, _Tree], again: bool) -> Sample:
        try:
            if again:
                raise ReadError("duplicate key", f"{group.key!r} stands twice in {file.path}")
            return self._clip(file, row, group, trees)
        except (ReadError, UnreadableError) as error:
            detail = f"{file.path}: {error.what}"
            return failed_sample(file.path, group.key or file.path, row, error.reason, detail)

    def _clip(self, file: FileStat, row: int, group: Group, trees: dict[str, _Tree]) -> Sample:
        videos = _members(group)
        if len(videos) != 1 or member_type(videos[0][0])[0] != "video":
            raise ReadError("not one video", ", ".join(name for name, _ in videos))
        name, member = videos[0]
        items = [trees[VIDEO].item(member, "video", member_type(name)[1], name)]
        _, told = _beside(trees, METAS, group.key)[0]
        if told.size > LONGEST_JSON:
            raise ReadError("metadata too large", f"{told.size:,} bytes")
        known = json_object(trees[METAS].blocks.at(told.offset, told.size))
        folder = _folder(file.path)
        items += clip_metadata.captions(known, _version(folder))
        items.append(trees[METAS].item(told, "metadata", "application/json", "json"))
        if EMBEDDINGS in trees and self.text_embeddings:
            items += self._embeddings(trees[EMBEDDINGS], _beside(trees, EMBEDDINGS, group.key))
        fields = clip_metadata.fields(known)
        fields["shard_bin"] = _VERSION.sub("", folder, count=1).rstrip("/")
        return Sample(sample_id(file.path, group.key, row), group.key, tuple(items), fields)

    def _embeddings(self, tree: _Tree, found: Sequence[tuple[str, Member]]) -> Iterator[Item]:
        for name, member in found:
            if name not in _FORMS:
                raise ReadError("unknown text embeddings", f"a member .{name}")
            arrays = decoded(tree.blocks.at(member.offset, member.size), _FORMS[name])
            if any(array.ndim != 2 for array in arrays):
                raise ReadError("malformed text embeddings", "an array is not [tokens, size]")
            size = arrays[0].shape[1] if arrays else None
            told = {"windows": len(arrays), "tokens": [len(array) for array in arrays], "size": size}
            yield tree.item(member, "other", "application/octet-stream", f"{EMBEDDINGS}.{name}", **told)


def _beside(trees: dict[str, _Tree], tree: str, key: str) -> list[tuple[str, Member]]:
    group = trees[tree].members.get(key) if tree in trees else None
    if group is None:
        what = "metadata" if tree == METAS else "text embeddings"
        raise ReadError(f"no {what}", f"{tree} has no {key!r}")
    return _members(group)


def _members(group: Group) -> list[tuple[str, Member]]:
    if group.trouble:
        raise ReadError(group.trouble, group.detail)
    return group.members


def _folder(path: str) -> str:
    """The folder of the bin, with its slash."""
    told = _TAR.fullmatch(path)
    return told["folder"] if told is not None else ""


def _version(folder: str) -> str:
    found = _VERSION.match(folder)
    return found[1] if found is not None else "v0"
