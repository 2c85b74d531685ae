"""Turns a row of any table (Parquet, JSONL, CSV) into a sample: which columns are media, text, key, fields."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from sluice.errors import ReadError, SourceError, StorageError
from sluice.sample import Item, Media, Modality, Note, Sample, sample_id
from sluice.sample.members import (
    FIELDS_COLUMN,
    default_name,
    leftover_fields,
    member_type,
    sniff_extension,
)
from sluice.storage import Location

ROLES: dict[str, tuple[str, ...]] = {
    "key": ("key", "__key__", "id", "uid"),
    "text": ("text", "texts", "caption", "captions", "txt", "TEXT"),
    "image": ("image", "images", "image_path", "img", "jpg", "jpeg", "png", "webp"),
    "video": ("video", "videos", "video_path", "mp4", "webm"),
    "audio": ("audio", "audios", "audio_path", "wav", "mp3", "flac"),
}
"""Our roles, and the column names by which each is recognised where the recipe does not say."""

_MEDIA_ROLES = ("image", "video", "audio")
_RESERVED = ("id", "key", "parent", "items")
_TAKEN_BY_US = ("members", "sidecars")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What each column of one set of column names is for. `media` holds (column, modality)."""

    key: str | None
    text: str | None
    media: tuple[tuple[str, str], ...]
    rest: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row comes from: its file relative to the source root, the root, and its row number there."""

    root: Location
    path: str
    row: int

    @property
    def fallback_key(self) -> str:
        """The key of a row that names none."""
        return row_key(self.path, self.row)


def row_key(path: str, row: int) -> str:
    """`folder/stem/00000012`: unique among the rows of all files of a source."""
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0] or name
    return f"{folder}/{stem}/{row:08d}" if folder else f"{stem}/{row:08d}"


class Columns:
    """The recipe's `columns:` ({our role: their column}) with the rules for what it leaves open."""

    def __init__(self, mapping: Mapping[str, str] | None) -> None:
        self.mapping = dict(mapping or {})
        for role in self.mapping:
            if role not in ROLES:
                near = difflib.get_close_matches(role, ROLES, n=1)
                fix = f"did you mean {near[0]!r}?" if near else f"roles: {', '.join(ROLES)}"
                raise SourceError(f"`columns:` has no role {role!r}", fix=fix)

    def plan(self, names: tuple[str, ...]) -> Plan:
        """What the columns of these names are for."""
        return _plan(names, tuple(self.mapping.items()))

    def sample(self, row: Row, origin: Origin) -> Sample:
        """The sample of a row; an item whose file cannot be used is a note on the item.

        `ReadError` for a row that is no sample: a mapped column is missing.
        """
        plan = self.plan(tuple(row))
        if plan.missing:
            raise ReadError(f"column missing: {plan.missing[0]}", f"{origin.path}, row {origin.row}")
        value = row[plan.key] if plan.key else None
        key = str(value) if isinstance(value, str | int) and value != "" else origin.fallback_key
        build = _Build(key, origin, len(plan.media) > 1)
        for column, modality in plan.media:
            build.media(column, modality, row)
        if plan.text:
            build.text(plan.text, row[plan.text])
        for column in plan.rest:
            build.rest(column, row[column])
        build.sidecars(row)
        return Sample(
            sample_id(origin.path, key, origin.row),
            key,
            tuple(build.items),
            build.fields,
            notes=build.notes(),
        )


@lru_cache(maxsize=256)
def _plan(names: tuple[str, ...], mapping: tuple[tuple[str, str], ...]) -> Plan:
    said = dict(mapping)
    present = set(names)
    missing = tuple(column for column in said.values() if column not in present)

    def first(role: str) -> str | None:
        if role in said:
            return said[role]
        return next((n for n in ROLES[role] if n in present and n not in said.values()), None)

    media: dict[str, str] = {}
    for role in _MEDIA_ROLES:
        if role in said:
            media[said[role]] = role
        else:
            media |= {n: role for n in ROLES[role] if n in present and n not in said.values()}
    key, text = first("key"), first("text")
    ordered = tuple((n, media[n]) for n in names if n in media)
    used = {key, text, *media}
    # In a table of ours the id is that of the sample as it was written, and made anew by reading.
    ours = (*_TAKEN_BY_US, "id") if present.issuperset(_TAKEN_BY_US) else ()
    return Plan(key, text, ordered, tuple(n for n in names if n not in used and n not in ours), missing)


class _Build:
    """One sample in the making."""

    def __init__(self, key: str, origin: Origin, several_columns: bool) -> None:
        self.key, self.origin = key, origin
        self.items: list[Item] = []
        self.fields: dict[str, Any] = {}
        self._notes: list[tuple[Item, str, str]] = []
        self._names: set[str] = set()
        self._several = several_columns
        self._bytes_of: set[str] = set()

    def media(self, column: str, modality: str, row: Row) -> None:
        """A media column: bytes, {bytes, path}, a path, or a list of these; URLs are fields."""
        value = row[column]
        beside = row.get(f"{column.removesuffix('s')}_bytes")
        if isinstance(value, list) and isinstance(beside, list) and len(beside) == len(value):
            value = [{"bytes": b, "path": p} for b, p in zip(beside, value, strict=True)]
            self._bytes_of.add(f"{column.removesuffix('s')}_bytes")
        parts = value if isinstance(value, list) else [value]
        if value is None:
            return
        if not all(_is_medium(part) for part in parts):
            self.rest(column, value)
            return
        for k, part in enumerate(parts):
            stem = f"{k}." if isinstance(value, list) and len(parts) > 1 else ""
            if self._several and not isinstance(value, list) and self.items:
                stem = f"{column}."
            self._medium(part, modality, stem)

    def text(self, column: str, value: Any) -> None:
        """The text column: a string, or a list of strings as several items."""
        if isinstance(value, str):
            self._add(Item("text", "text/plain", "txt", text=value))
        elif isinstance(value, list) and value and all(isinstance(v, str) for v in value):
            for k, part in enumerate(value):
                self._add(Item("text", "text/plain", f"{k}.txt" if len(value) > 1 else "txt", text=part))
        else:
            self.rest(column, value)

    def rest(self, column: str, value: Any) -> None:
        """Any other column: bytes become an item, everything else a field."""
        if value is None or column in self._bytes_of:
            return
        if isinstance(value, bytes) or (isinstance(value, dict) and isinstance(value.get("bytes"), bytes)):
            self._medium(value, "other", f"{column}." if self.items else "", column)
        else:
            self.fields[f"source_{column}" if column in _RESERVED else column] = value

    def sidecars(self, row: Row) -> None:
        """What our writers put beside the usual columns, and the order of all items."""
        members, sidecars = row.get("members"), row.get("sidecars")
        if not isinstance(members, list) or not isinstance(sidecars, list):
            return
        for entry in sidecars:
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                continue
            name = entry["name"]
            modality, mime = member_type(name)
            media, trouble = self._view(entry)
            item = Item(
                cast(Modality, entry.get("modality") or modality),
                entry.get("content_type") or mime,
                name,
                media=media,
            )
            self._add(item, trouble, exact=True)
        self._restore_text_name(members)
        if FIELDS_COLUMN in self.fields:
            self.fields |= leftover_fields(self.fields.pop(FIELDS_COLUMN))
        place = {name: k for k, name in enumerate(members)}
        self.items.sort(key=lambda item: place.get(item.name, len(place)))

    def _restore_text_name(self, members: list[Any]) -> None:
        """The text column does not say what its item was called; the one name left over does."""
        unnamed = [m for m in members if m not in self._names]
        for k, item in enumerate(self.items):
            if item.text is not None and item.name not in members and len(unnamed) == 1:
                self.items[k] = replace(item, name=unnamed[0], content_type=member_type(unnamed[0])[1])

    def notes(self) -> tuple[Note, ...]:
        """Notes on items, by their final index."""
        where = {id(item): k for k, item in enumerate(self.items)}
        return tuple(
            Note("unreadable", reason, detail, "read", where[id(item)])
            for item, reason, detail in self._notes
        )

    def _medium(self, value: Any, modality: str, stem: str, column: str = "") -> None:
        part = value if isinstance(value, dict) else {"bytes" if isinstance(value, bytes) else "path": value}
        media, trouble = self._view(part)
        data = media.data if media is not None else None
        path = part.get("path") or ""
        name = self._member_name(path, data or b"", stem)
        found = member_type(name)
        if found[0] in _MEDIA_ROLES:
            item = Item(found[0], found[1], name, media=media)
        else:
            item = Item(cast(Modality, modality), "application/octet-stream", column or name, media=media)
        self._add(item, trouble)

    def _member_name(self, path: str, data: bytes, stem: str) -> str:
        base, own = path.rpartition("/")[2], self.key.rpartition("/")[2]
        if base.startswith(own + ".") and len(base) > len(own) + 1:
            return base[len(own) + 1 :]
        dot = base.rfind(".")
        return stem + ((base[dot + 1 :] if dot > 0 else "") or sniff_extension(data) or "bin")

    def _view(self, part: Row) -> tuple[Media | None, tuple[str, str] | None]:
        """The view that {bytes, path} stands for, or None and why there is none."""
        data = part.get("bytes")
        if isinstance(data, bytes):
            return Media(size=len(data), data=data), None
        path = part.get("path")
        if not isinstance(path, str):
            return None, ("no bytes", "neither bytes nor a path")
        return find_beside(path, self.origin)

    def _add(self, item: Item, trouble: tuple[str, str] | None = None, *, exact: bool = False) -> None:
        name, n = item.name if exact else default_name(item), 0
        while (unique := name if n == 0 else f"{n}.{name}") in self._names:
            n += 1
        self._names.add(unique)
        if unique != item.name:
            item = Item(item.modality, item.content_type, unique, item.text, item.media)
        self.items.append(item)
        if trouble is not None:
            self._notes.append((item, *trouble))


def find_beside(path: str, origin: Origin) -> tuple[Media | None, tuple[str, str] | None]:
    """The file that a row names, relative to its table; None and a reason where it must not or cannot be read.

    Absolute paths, `..` and links that leave the source are refused.
    """
    folder = origin.path.rpartition("/")[0]
    try:
        place = (origin.root / folder if folder else origin.root) / path.removeprefix("./")
    except StorageError as error:
        return None, ("unsafe path", f"{path!r}: {error.what}")
    if not place.is_local:
        return Media(place.url), None
    root = os.path.realpath(origin.root.url)
    if not f"{os.path.realpath(place.url)}/".startswith(root.rstrip("/") + "/"):
        return None, ("unsafe path", f"{path!r} leads out of the source")
    entry = place.stat()
    if entry is None:
        return None, ("file missing", f"{path!r}")
    return Media(place.url, 0, entry.size), None


def _is_medium(value: Any) -> bool:
    if isinstance(value, dict):
        return ("bytes" in value or "path" in value) and _is_medium(value.get("bytes") or value.get("path"))
    return isinstance(value, bytes) or (isinstance(value, str) and value != "" and "://" not in value)


def texts(value: Any) -> Iterator[str]:
    """All strings inside a decoded JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
