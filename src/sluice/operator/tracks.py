"""Tracks: what is measured along a source video, in one decode, before anyone knows where its clips begin."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from sluice.codec.video import VideoInfo, probe
from sluice.errors import NotFoundError, SampleError, StorageError, UnavailableError
from sluice.operator.instance import Instance
from sluice.operator.recording import record
from sluice.sample import Media
from sluice.storage import Location, locate

_SOURCES_HELD = 4  # whole tracks of so many sources; clips of one source come one after another
_CROPS_HELD = 16  # tracks of so many cropped clips; operators look at one after another, or at some at a time


@dataclass(frozen=True, eq=False)
class Span:
    """A track over a part of its source: one row at each of `times_s` (seconds of the source, ascending).

    `start_s` and `end_s` are the ends of the part (`end_s` exclusive); `span["mean"]` are the values of one of the
    track's fields (a null number is NaN). `info` is what is known of the source, with `width_px` and `height_px` of
    what the view shows; `source_hash` is its xxh3-128 in hexadecimal.
    """

    info: VideoInfo
    source_hash: str
    start_s: float
    end_s: float
    times_s: NDArray[np.float64]
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.times_s)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Span) or (self.info, self.source_hash) != (other.info, other.source_hash):
            return False
        ends = (self.start_s, self.end_s) == (other.start_s, other.end_s)
        same = np.array_equal(self.times_s, other.times_s) and self.columns.keys() == other.columns.keys()
        return ends and same and all(_same(self[n], other[n]) for n in self.columns)

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    @property
    def duration_s(self) -> float:
        """Seconds from its start to its end."""
        return self.end_s - self.start_s

    def within(self, start_s: float | None, end_s: float | None) -> Span:
        """The part of it from a time on (inclusive) to another (exclusive); None for its own ends."""
        start = self.start_s if start_s is None else start_s
        end = self.end_s if end_s is None else end_s
        first, last = np.searchsorted(self.times_s, [start, end])
        columns = {name: values[first:last] for name, values in self.columns.items()}
        return replace(self, start_s=start, end_s=end, times_s=self.times_s[first:last], columns=columns)


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


@dataclass
class Decoded:
    """What this process has decoded to measure tracks: sources, frames, and seconds of video."""

    sources: int = 0
    frames: int = 0
    seconds: float = 0.0


@dataclass
class _Source:
    """One source video as far as it is known: its tracks by fingerprint, or why there is none."""

    info: VideoInfo
    hash: str
    tracks: dict[str, pa.Table | Exception] = field(default_factory=dict)


@dataclass
class _State:
    store: Location | None = None
    together: tuple[Instance, ...] = ()
    sources: OrderedDict[str, _Source | SampleError] = field(default_factory=OrderedDict)
    crops: OrderedDict[Media, dict[str, pa.Table | Exception]] = field(default_factory=OrderedDict)
    decoded: Decoded = field(default_factory=Decoded)


_state = _State()


def use(store: Location | None, together: Iterable[Instance] = ()) -> None:
    """Let this process keep tracks in a store's `tracks` folder (None: nowhere), and measure these in one decode.

    Whoever asks first for a track of a source has all of `together` measured that the store lacks.
    """
    _state.store = store / "tracks" if store is not None else None
    _state.together = tuple({each.fingerprint: each for each in together}.values())
    _state.sources.clear()
    _state.crops.clear()


def decoded() -> Decoded:
    """What this process has decoded so far to measure tracks."""
    return _state.decoded


def span(instance: Instance, media: Media) -> Span:
    """A track over a view of a video, from memory, from the store, or measured now with all that go with it.

    Of a cropped view: of what the crop shows, from another decode of the view's span, which is not stored. Raises
    UnreadableError where the video cannot be decoded, and what the track itself raised.
    """
    source = _known(media)
    width, height = source.info.shown_size(media.crop)
    info = replace(source.info, width_px=width, height_px=height)
    if media.crop is not None and instance.spec.sees != "audio":
        table = _of_crop(media, info, instance)
    else:
        if instance.fingerprint not in source.tracks:
            _measure(source, media, instance)
        table = source.tracks[instance.fingerprint]
    if isinstance(table, Exception):
        raise table
    whole = Span(info, source.hash, 0.0, info.duration_s, *_arrays(table))
    return whole.within(media.start_s, media.end_s)


def source_hash(media: Media) -> str:
    """xxh3-128, in hexadecimal, of all bytes of the file (or range of one) that a view is of."""
    return _known(media).hash


def _known(media: Media) -> _Source:
    address = _address(media)
    found = _state.sources.get(address)
    if found is None:
        try:
            found = _Source(probe(media), _content(media, address))
        except SampleError as error:
            found = error
        _state.sources[address] = found
        while len(_state.sources) > _SOURCES_HELD:
            _state.sources.popitem(last=False)
    _state.sources.move_to_end(address)
    if isinstance(found, SampleError):
        raise found
    return found


def _address(media: Media) -> str:
    """What tells one state of a source from another without reading it: place, size and time of change."""
    if media.data is not None:
        return xxhash.xxh3_128_hexdigest(media.data)
    stat = locate(media.uri).stat()
    state = (stat.size, stat.mtime_ns, stat.etag) if stat is not None else ()
    return xxhash.xxh3_128_hexdigest(
        json.dumps([media.uri, media.offset, media.size, *state]).encode("utf-8", "surrogatepass")
    )


def _content(media: Media, address: str) -> str:
    """The source's content hash, from the store where it was made before."""
    if media.data is not None:
        return address
    entry = _state.store / "sources" / address[:2] / f"{address}.txt" if _state.store is not None else None
    if entry is not None:
        known = _read(entry)
        if known is not None:
            return known.decode()
    digest = _hash(media)
    if entry is not None:
        _write(entry, digest.encode())
    return digest


def _hash(media: Media) -> str:
    hasher = xxhash.xxh3_128()
    with replace(media, start_s=None, end_s=None, crop=None).open() as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    return hasher.hexdigest()


def _measure(source: _Source, media: Media, asked: Instance) -> None:
    """Fill in the track that is asked for, and in one decode with it all others that are not known yet."""
    wanted = {each.fingerprint: each for each in (asked, *_state.together)}
    for mark in list(wanted):
        if mark in source.tracks or _load(source, mark):
            del wanted[mark]
    if asked.fingerprint in source.tracks:
        return
    whole = replace(media, start_s=None, end_s=None, crop=None)
    made, frames = record(whole, source.info, list(wanted.values()))
    source.tracks |= made
    if frames:
        _state.decoded.sources += 1
        _state.decoded.frames += frames
        _state.decoded.seconds += source.info.duration_s
    for mark, table in made.items():
        if _state.store is not None and not isinstance(table, Exception):
            _write(_place(_state.store, source.hash, mark), _parquet(table))


def _of_crop(media: Media, info: VideoInfo, asked: Instance) -> pa.Table | Exception:
    """A track of what a crop shows, along the view's span: another picture, of which the source's tracks say nothing.

    One decode measures all that go with it. Networks only where they are asked for: splitters have seen the whole.
    """
    held = _state.crops.setdefault(media, {})
    _state.crops.move_to_end(media)
    while len(_state.crops) > _CROPS_HELD:
        _state.crops.popitem(last=False)
    if asked.fingerprint not in held:
        cheap = (each for each in _state.together if not hasattr(each.spec.target, "open"))
        wanted = {each.fingerprint: each for each in (asked, *cheap) if each.spec.sees != "audio"}
        # As far back as the grid's longest step, so that frames are those that the whole source's tracks have.
        early = max(
            (1 / each.settings["fps"] for each in wanted.values() if each.spec.sees == "grid"), default=0
        )
        start = None if media.start_s is None else max(0.0, media.start_s - early)
        made, frames = record(replace(media, start_s=start), info, list(wanted.values()))
        held |= made
        _state.decoded.frames += frames
        end = info.duration_s if media.end_s is None else media.end_s
        _state.decoded.seconds += end - (start or 0.0)
    return held[asked.fingerprint]


def _place(store: Location, content: str, mark: str) -> Location:
    return store / content[:2] / content / f"{mark}.parquet"


def _load(source: _Source, mark: str) -> bool:
    data = _read(_place(_state.store, source.hash, mark)) if _state.store is not None else None
    if data is None:
        return False
    source.tracks[mark] = pq.read_table(pa.BufferReader(data))
    return True


def _read(place: Location) -> bytes | None:
    try:
        return place.read()
    except NotFoundError:
        return None


def _write(place: Location, data: bytes) -> None:
    try:
        place.write(data)
    except (
        StorageError
    ) as error:  # no video's doing: a full disk must not make unreadable videos of all that follow
        fix = "make room there, and run the same command again"
        raise UnavailableError(f"a track cannot be kept: {error.what}", where=place.url, fix=fix) from error


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _arrays(table: pa.Table) -> tuple[NDArray[np.float64], dict[str, NDArray[Any]]]:
    columns = {n: table.column(n).to_numpy() for n in table.column_names}
    times: NDArray[np.float64] = columns.pop("time_s")
    return times, columns


def all_tracks(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """The tracks that these operators need, each once."""
    needed = (part for each in instances for part in each.closure() if part.spec.kind == "track")
    return tuple({part.fingerprint: part for part in needed}.values())
