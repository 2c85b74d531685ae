"""Reads captioned pictures or videos, as an arm's data was exported, into arrays that small models train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.codec import decode, shrink
from sluice.errors import SampleError, StorageError, TrialError
from sluice.ops.text.content import text_of
from sluice.readers import detect_format, open_reader
from sluice.sample import Item, Media, Note, Sample
from sluice.sandbox.export.members import members
from sluice.sandbox.pools import Pool
from sluice.sandbox.proxy.words import number_of, numbered, words_of
from sluice.sandbox.train.exported import NAME, Exported
from sluice.storage import Location

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Form:
    """What a model is shown: square pictures of `side_px`, `frames` of them, captions of at most `length` numbers.

    `frames` 0: pictures, of videos nothing. `vocabulary`: how many different numbers words become.
    """

    side_px: int
    frames: int
    length: int
    vocabulary: int


@dataclass(frozen=True, eq=False)
class Captioned:
    """Samples in the order they were read: ids, uint8 pixels [n, frames, side, side, 3], word numbers [n, length].

    `lexicon` has a word for each number, the first that was read; `failed` counts samples that could not be had, by
    reason. `keys` are the samples' names in their source.
    """

    ids: tuple[str, ...]
    keys: tuple[str, ...]
    pixels: Pixels
    words: NDArray[np.int64]
    lexicon: Mapping[int, str]
    failed: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.ids)

    def tell(self, log: Path) -> None:
        """Say in a log how many there are, and which failed for what reason."""
        told = "".join(f", {count} left out: {reason}" for reason, count in self.failed.items())
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{len(self)} samples{told}\n")


@lru_cache(maxsize=1)
def held_out(data: Path, form: Form, most: int) -> Captioned:
    """The first `most` samples of a held-out set (2 at least): read once for all models that are judged on it."""
    return read_captioned(data, form, least=2, most=most)


def read_captioned(data: Path, form: Form, *, least: int = 1, most: int | None = None) -> Captioned:
    """The captioned samples of an export, of any folder that a reader of Sluice takes, or once each of a pool's file.

    Media are scaled so that the shorter side is `side_px`, and the middle is taken; frames are spread evenly over a
    video, or over a sample's pictures in their order. Of a pool, ids are those of its run. `TrialError` where there
    are fewer than `least`; no more than `most` are read. All are held in memory, a picture of 32 px in 3 kB.
    """
    ids: list[str] = []
    keys: list[str] = []
    lexicon: dict[int, str] = {}
    pixels: list[Pixels] = []
    words: list[NDArray[np.int64]] = []
    failed: Counter[str] = Counter()
    for sample in _samples(data):
        if len(ids) == most:
            break
        try:
            caption = _caption(sample)
            pixels.append(_pixels(sample, form))
        except (SampleError, StorageError) as error:
            failed[getattr(error, "reason", "file not readable")] += 1
            continue
        ids.append(sample.id)
        keys.append(sample.key)
        for word in words_of(caption):
            lexicon.setdefault(number_of(word, form.vocabulary), word)
        words.append(numbered(caption, form.vocabulary, form.length))
    if len(ids) < least:
        told = "".join(f"; {count} × {reason}" for reason, count in failed.most_common())
        what = f"{len(ids)} captioned samples, and {least} are needed{told}"
        raise TrialError("no result: too few samples", what, where=str(data))
    return Captioned(tuple(ids), tuple(keys), np.stack(pixels), np.stack(words), lexicon, dict(failed))


def read_captions(data: Path, most: int) -> list[str]:
    """The first `most` captions of a text file with one a line, or of samples as `read_captioned` takes them.

    A sample without a caption that can be read is passed over; `TrialError` where there is none with one.
    """
    if data.suffix == ".txt":
        found = [line for line in data.read_text(encoding="utf-8").splitlines() if line.strip()]
    else:
        found = []
        for sample in _samples(data):
            if len(found) == most:
                break
            with suppress(SampleError, StorageError):
                found.append(_caption(sample))
    if not found:
        raise TrialError("no result: no captions", "nothing to make videos of", where=str(data))
    return found[:most]


def _samples(data: Path) -> Iterator[Sample]:
    if data.is_file():
        found = members(Pool.read(data))
        for key, sample in zip(found.ids, found.once(), strict=True):
            gone = Note("read", "could not be read again")
            yield sample if sample is not None else Sample(key, key, notes=(gone,))
        return
    place = Exported.read(data).data if (data / NAME).exists() else data
    reader = open_reader(Location(place), detect_format(place))
    for part in reader.slices():
        yield from reader.read(part)


def _caption(sample: Sample) -> str:
    if sample.notes:
        raise SampleError(sample.notes[0].reason)
    for _, item in sample.of("text"):
        text = text_of(item)
        if text.strip():
            return text
    raise SampleError("no caption")


def _pixels(sample: Sample, form: Form) -> Pixels:
    pictures = [item for _, item in sample.of("image")]
    if not form.frames:
        if not pictures:
            raise SampleError("no picture")
        return _square(decode(_media(pictures[0]).read()), form.side_px)[None]
    videos = [item for _, item in sample.of("video")]
    if videos:
        return np.stack([_square(rgb, form.side_px) for rgb in _frames(_media(videos[0]), form)])
    if len(pictures) < 2:
        raise SampleError("no video")
    chosen = [pictures[at] for at in _spread(len(pictures), form.frames)]
    return np.stack([_square(decode(_media(item).read()), form.side_px) for item in chosen])


def _frames(media: Media, form: Form) -> Iterator[Pixels]:
    """Frames spread evenly over a view of a video, none other being made into a picture."""
    from sluice.codec.video import frame_times, frames_at

    times = frame_times(media)
    start, end = media.start_s or 0.0, np.inf if media.end_s is None else media.end_s
    inside = times[(times >= start) & (times < end)]
    chosen = inside[_spread(len(inside), form.frames)] if len(inside) else np.full(form.frames, start)
    for frame in frames_at(media, chosen.tolist()):
        yield frame.rgb(4 * form.side_px)


def _spread(of: int, count: int) -> list[int]:
    """`count` places among `of`, evenly."""
    return [of * k // count for k in range(count)]


def _media(item: Item) -> Media:
    if item.media is None:
        raise SampleError("no bytes")
    return item.media


def _square(picture: Pixels, side_px: int) -> Pixels:
    small = shrink(picture, side_px)
    height, width = small.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = small[top : top + side, left : left + side]
    if side == side_px:
        return middle
    grown = cv2.resize(middle, (side_px, side_px), interpolation=cv2.INTER_LINEAR_EXACT)
    return np.asarray(grown, np.uint8)
