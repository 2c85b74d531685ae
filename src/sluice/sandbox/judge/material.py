"""The samples that judges look at: their texts, and as parts of a message to a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.codec import Picture
from sluice.codec.encode import encode
from sluice.codec.thumbnail import fit_area
from sluice.errors import SampleError, StorageError, UnreadableError, UsageError
from sluice.model.endpoint import picture_part, text_part
from sluice.ops.text.content import text_of
from sluice.sample import Item, Sample
from sluice.sandbox.export.members import members
from sluice.sandbox.judge.endpoint import Parts
from sluice.sandbox.pools import Pool, draw_keys, drawn

_PICTURE_PX = 512 * 512
"""Pixels that a picture is scaled down to: what captioners are shown by default."""


@dataclass(frozen=True, eq=False)
class Material:
    """The samples to be judged, by id; one that is not in the source any more is None.

    `drawn` are the pools, reduced to what was drawn of each: a pool is judged by its own draw alone, whatever samples
    of it were drawn for others.
    """

    samples: Mapping[str, Sample | None]
    drawn: Mapping[str, Pool]

    @classmethod
    def of(cls, pools: Mapping[str, Pool], per_pool: int, seed: int) -> Material:
        """At most `per_pool` different samples of each pool, drawn by seeded hashes of their ids.

        Pools are of one run, which is read once.
        """
        reduced = {name: _drawn(pool, per_pool, seed) for name, pool in pools.items()}
        ids = pa.concat_arrays([pool.ids for pool in reduced.values()]).unique()
        if not len(ids):
            return cls({}, reduced)
        inside = members(Pool("judged", ids, next(iter(pools.values())).origin))
        return cls(dict(zip(inside.ids, inside.once(), strict=True)), reduced)

    def texts(self) -> Iterator[tuple[str, str | SampleError]]:
        """The text of each, its texts joined by blank lines; or why there is none."""
        for name in self.samples:
            try:
                yield name, self._text(name)
            except SampleError as error:
                yield name, error

    def text_only(self, name: str) -> Parts:
        """The sample's text as part of a message."""
        return [text_part(self._text(name))]

    def with_pictures(self, name: str) -> Parts:
        """The sample's items as parts of a message, in their order: texts as they are, pictures as JPEG."""
        parts: Parts = []
        for item in self._sample(name).items:
            if item.modality == "text":
                parts.append(text_part(_text(item)))
            elif item.modality == "image":
                parts.append(picture_part(_picture(item), "jpeg"))
        if not parts:
            raise UnreadableError("nothing to judge", "the sample has neither text nor picture")
        return parts

    def _sample(self, name: str) -> Sample:
        sample = self.samples[name]
        if sample is None:
            raise UnreadableError("could not be read again", "it is not in the source any more")
        if sample.notes:
            raise UnreadableError(sample.notes[0].reason, sample.notes[0].detail)
        return sample

    def _text(self, name: str) -> str:
        text = "\n\n".join(_text(item) for _, item in self._sample(name).of("text")).strip()
        if not text:
            raise UnreadableError("no text", "the sample has no text to judge")
        return text


def _drawn(pool: Pool, size: int, seed: int) -> Pool:
    """The pool with `size` of its different samples, each as often as before."""
    every = pool.ids.cast(pa.string())
    ids = every.unique()
    chosen = ids.take(pa.array(drawn(draw_keys(ids, seed), np.arange(len(ids)), size)))
    return Pool(pool.name, every.filter(pc.is_in(every, chosen)), pool.origin)


def read_texts(path: Path) -> list[str]:
    """Texts known to be good: a Parquet column `text`, or a file with a text on each line. `UsageError` where none."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            found = [t for t in pq.read_table(path, columns=["text"]).column("text").to_pylist() if t]
        else:
            found = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        fix = "give a Parquet file with a column `text`, or a text file with one text a line"
        raise UsageError(f"no texts can be read: {error}", where=str(path), fix=fix) from error
    return found


def _text(item: Item) -> str:
    with _told():
        return text_of(item)


def _picture(item: Item) -> bytes:
    if item.media is None:
        raise UnreadableError("no bytes", "the item has no media")
    with _told():
        rgb = Picture(item.media.read(), item.media.crop).rgb()
    return encode(fit_area(rgb, _PICTURE_PX), "jpeg")


@contextmanager
def _told() -> Iterator[None]:
    """Bytes that are gone are the sample's trouble here, as unreadable ones are."""
    try:
        yield
    except StorageError as error:
        raise UnreadableError("bytes not readable", str(error)) from error
