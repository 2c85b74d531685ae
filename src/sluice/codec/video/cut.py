"""Cuts clips out of a source in one ordered passage over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from sluice.codec.video.clip import ClipFailure, ClipFile, ClipSettings, ClipSpan, CutWork
from sluice.codec.video.container import opened
from sluice.codec.video.cutting import Cutting, Result
from sluice.codec.video.mux import writing
from sluice.codec.video.passage import Passage
from sluice.codec.video.reader import Reader
from sluice.codec.video.remux import Copying, no_copy
from sluice.codec.video.smart import SmartCutting
from sluice.codec.video.splice import splice_for
from sluice.codec.video.tally import frames_decoded
from sluice.codec.video.transcode import Look, Transcoding
from sluice.errors import SampleError, StorageError
from sluice.sample import Media


def cut_clips(
    source: Media,
    clips: Sequence[ClipSpan],
    settings: ClipSettings | None = None,
    *,
    folder: Path,
    work: CutWork | None = None,
) -> Iterator[Result]:
    """Write each clip of `clips` as an MP4 in `folder`, and give in the same order what each came to.

    Reads the source once, from its beginning to its end, leaping over what no clip needs, and decodes no group of
    pictures twice, however spans touch or overlap. A clip that cannot be written is a `ClipFailure` and the others
    go on; `StorageError` where the disk is full, `MissingError` where there is no such encoder here. What lies in
    `folder` under a clip's `path` is the caller's to take (`ClipFile.chunks`) and to remove. Memory: the encoders
    of the clips that overlap, and one group of pictures. Time, spans and crops as everywhere: seconds from the
    first frame shown, pixels of the picture as displayed.
    """
    settings, work = settings or ClipSettings(), work or CutWork()
    done: dict[int, Result] = {}
    given = 0
    for number, result in _results(source, list(enumerate(clips)), settings, folder, work):
        done[number] = result if number == given else _put_down(result, folder / f"{number:06d}.mp4")
        while given in done:
            yield done.pop(given)
            given += 1


def _put_down(result: Result, path: Path) -> Result:
    """A clip that has to wait for the ones before it does so on disk."""
    if isinstance(result, ClipFailure) or result.media.data is None:
        return result
    with writing(path):
        path.write_bytes(result.media.data)
    return replace(result, path=path, media=Media(str(path), 0, result.size_bytes))


def _results(
    source: Media, clips: list[tuple[int, ClipSpan]], settings: ClipSettings, folder: Path, work: CutWork
) -> Iterator[tuple[int, Result]]:
    """What the clips come to, in the order in which they end; those that have to be encoded after all come last."""
    left = dict(clips)
    try:
        with passage_over(source, work, copies=settings.mode == "copy") as (passage, look):
            reasons = _reasons(passage, left, settings)
            kept = [(n, s) for n, s in clips if n not in reasons]
            cutting = _cutting(passage, look, kept, folder, settings)
            for number, result in cutting.run():
                del left[number]
                yield number, result
            reasons |= cutting.fallbacks
        if left:
            encode = replace(settings, mode="transcode")
            with passage_over(source, work) as (passage, look):
                for number, result in _cutting(passage, look, list(left.items()), folder, encode).run():
                    del left[number]
                    yield number, _told(result, reasons.get(number))
    except SampleError as error:
        for number, span in left.items():
            yield number, ClipFailure(span, error.reason, error.what)
    except StorageError as error:
        if error.where.startswith(str(folder)):
            raise
        for number, span in left.items():
            yield number, ClipFailure(span, "bytes not readable", str(error))


def _cutting(
    passage: Passage, look: Look, clips: list[tuple[int, ClipSpan]], folder: Path, settings: ClipSettings
) -> Cutting:
    if settings.mode == "copy":
        return Copying(passage, clips, folder, settings)
    if settings.mode == "smart":
        splice = splice_for(passage.video, settings)
        if not isinstance(splice, str):
            return SmartCutting(passage, clips, folder, settings, splice)
    return Transcoding(passage, clips, folder, settings, look=look)


def _reasons(passage: Passage, clips: dict[int, ClipSpan], settings: ClipSettings) -> dict[int, str]:
    """The clips that cannot be cut as asked for, and why; known before anything is read."""
    if settings.mode == "transcode":
        return {}
    if (reason := no_copy(passage.video)) is not None:
        return dict.fromkeys(clips, reason)
    if settings.mode == "smart" and isinstance(splice := splice_for(passage.video, settings), str):
        return dict.fromkeys(clips, splice)
    return {n: "a crop has to be encoded" for n, span in clips.items() if span.crop is not None}


def _told(result: Result, reason: str | None) -> Result:
    return replace(result, fallback_reason=reason) if isinstance(result, ClipFile) else result


@contextmanager
def passage_over(media: Media, work: CutWork, *, copies: bool = False) -> Iterator[tuple[Passage, Look]]:
    """A passage over the source from its beginning, and how its pictures look. `copies`: none will be decoded."""
    before = frames_decoded()
    with opened(media) as source:
        first_pts = Reader(source).first[1]
        work.frames_decoded += frames_decoded() - before
        if copies and source.rewind():
            passage = Passage(source, work, first_pts)
            yield passage, _look(passage)
            return
    # Opened anew, as not every container can go back to its very first packet (MPEG-PS, AVI).
    with opened(media) as source:
        passage = Passage(source, work, first_pts)
        yield passage, _look(passage)


def _look(passage: Passage) -> Look:
    video, facts = passage.video, passage.facts
    rate = video.average_rate or video.guessed_rate or Fraction(25)
    bits = float(facts.bitrate_bps / (facts.width_px * facts.height_px * rate)) if facts.bitrate_bps else None
    return Look(video.sample_aspect_ratio or Fraction(1), Fraction(rate), bits)
