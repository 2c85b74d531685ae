"""Writing clips, each way beside its own limit.

    python benchmarks/video_write.py [--data FOLDER] [--seconds 120] [--rounds 3] [--only PART ...]

Sources are real pictures at 640 x 360, 30 a second, H.264 with a key frame every two seconds. Parts, each a row of
CPU seconds (medians of rounds that take turns; a loaded machine does not change them):

    transcode   our pass against a bare loop that decodes, encodes and muxes the same spans
    copy        our pass against a bare loop that demuxes and muxes the same spans
    smart       exact clips of 30 s, groups copied, against transcoding the same
    filter      rules first, then encoding what they keep, against encoding all clips, then measuring and filtering them
    decodes     how often a source is decoded, by the counters, and when it is split again
    memory      the peak of a process that splits and writes 1 x and 10 x the length
    fallbacks   which of the real videos `smart` cannot cut, and why
    cores       the whole command on all cores against as many bare encoders (wall seconds: wants an idle machine)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FPS, GOP, PIECE_S = 30, 60, 20
OPTIONS = {"preset": "veryfast", "crf": "20"}
SPLIT = """
source: {{path: {source}}}
steps:
  - split: {{video_split_stride: {{length_s: 4}}}}
  - keep: {rule}
write: {{path: {output}, format: clips, settings: {{mode: transcode}}}}
"""
FILTER = """
source: {{path: {source}, format: clips}}
steps:
  - keep: {rule}
write: {{path: {output}, format: clips}}
"""


def piece(videos: Path, out: Path, size: tuple[int, int] = (640, 360)) -> Path:
    """Twenty seconds of real pictures, encoded as cameras' and sites' files are: closed groups of two seconds."""
    import av

    sources = sorted(
        p for p in videos.glob("*.mp4") if p.name.startswith(("cosmos", "data-juicer", "mmaction2"))
    )
    with av.open(str(out), "w") as made:
        stream: Any = made.add_stream(
            "libx264", rate=FPS, options={**OPTIONS, "g": str(GOP), "sc_threshold": "0"}
        )
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        number = 0
        for source in sources:
            with av.open(str(source)) as given:
                for frame in islice(given.decode(video=0), FPS * PIECE_S // len(sources)):
                    picture = frame.reformat(*size, "yuv420p")
                    picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, FPS), 0
                    made.mux(stream.encode(picture))
                    number += 1
        made.mux(stream.encode())
    return out


def looped(one: Path, out: Path, seconds: float) -> Path:
    """The same again and again, its packets copied, until it is so long."""
    import av

    with av.open(str(one)) as given:
        stream = given.streams.video[0]
        packets = [p for p in given.demux(stream) if p.size]
        length = max(p.pts + p.duration for p in packets)
        with av.open(str(out), "w") as made:
            to = made.add_stream_from_template(stream)
            for k in range(round(seconds / float(length * stream.time_base)) or 1):
                for packet in packets:
                    copy: Any = av.Packet(packet)
                    copy.pts, copy.dts = packet.pts + k * length, packet.dts + k * length
                    copy.duration, copy.time_base = packet.duration, stream.time_base
                    copy.is_keyframe, copy.stream = packet.is_keyframe, to
                    made.mux(copy)
    return out


def cut(source: Path, spans: Sequence[tuple[float, float]], folder: Path, mode: str) -> list[Any]:
    """Our pass; every clip's bytes are taken as a writer takes them."""
    from sluice.codec.video.clip import ClipFile, ClipSettings, ClipSpan
    from sluice.codec.video.cut import cut_clips
    from sluice.sample import Media

    media = Media(str(source), 0, source.stat().st_size)
    results: list[Any] = []
    for result in cut_clips(media, [ClipSpan(*s) for s in spans], ClipSettings(mode), folder=folder):  # type: ignore[arg-type]
        assert isinstance(result, ClipFile), result
        with (folder / f"{len(results)}.mp4").open("wb") as taken:
            for chunk in result.chunks():
                taken.write(chunk)
        if result.path is not None:
            result.path.unlink()
        results.append(replace(result, media=Media()))
    return results


def bare_transcode(source: Path, spans: Sequence[tuple[float, float]], folder: Path) -> int:
    """Decode once, encode each span into a file, nothing else; frames."""
    import av

    count = 0
    with av.open(str(source)) as given:
        frames = given.decode(video=0)
        for number, (start, end) in enumerate(spans):
            with av.open(str(folder / f"bare{number}.mp4"), "w", options={"movflags": "faststart"}) as made:
                stream: Any = made.add_stream("libx264", rate=FPS, options=OPTIONS)
                stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
                stream.codec_context.thread_count = 1
                for frame in islice(frames, round((end - start) * FPS)):
                    frame.pict_type, count = 0, count + 1
                    made.mux(stream.encode(frame))
                made.mux(stream.encode())
    return count


def bare_copy(source: Path, spans: Sequence[tuple[float, float]], folder: Path) -> None:
    """Demux once, mux each span's packets, sound too, into a file of its own with its index in front; nothing else.

    Its spans follow each other and begin at key frames, so that a new file begins with the first key frame at or after
    a span's end. Times are moved so that each file begins at 0: it has the packets of our clip, with their times.
    Nothing is checked, nothing is held back, and no source is thought of but this one.
    """
    import av

    ends = iter(end for _, end in spans)
    with av.open(str(source)) as given:
        video = given.streams.video[0]
        streams = [video, *given.streams.audio[:1]]
        made: Any = None
        end, number, tracks = 0, 0, {}
        for packet in given.demux(*streams):
            if not packet.size:
                continue
            if packet.stream_index == video.index and packet.is_keyframe and packet.pts >= end:
                if made is not None:
                    made.close()
                made = av.open(str(folder / f"{number}.mp4"), "w", options={"movflags": "faststart"})
                start, number = packet.pts * video.time_base, number + 1
                end = round(next(ends) / video.time_base)
                tracks = {
                    s.index: (made.add_stream_from_template(s), round(start / s.time_base)) for s in streams
                }
            track, origin = tracks[packet.stream_index]
            packet.pts, packet.dts, packet.stream = packet.pts - origin, packet.dts - origin, track
            made.mux(packet)
        made.close()


def packets_of(file: Path) -> list[tuple[Any, ...]]:
    """The pictures of a clip as they are coded, and their times."""
    import av

    with av.open(str(file)) as clip:
        return [(p.pts, p.dts, bytes(p)) for p in clip.demux(video=0) if p.size]


def with_sound(source: Path, out: Path) -> Path:
    """The same with a tone: AAC, 48 kHz, two channels."""
    import av
    import numpy as np

    with av.open(str(source)) as given, av.open(str(out), "w") as made:
        video = given.streams.video[0]
        pictures = made.add_stream_from_template(video)
        sound: Any = made.add_stream("aac", rate=48_000, layout="stereo")
        given_s = 0.0
        for packet in given.demux(video):
            if not packet.size:
                continue
            while given_s * video.time_base.denominator <= packet.dts * video.time_base.numerator:
                times = given_s + np.arange(1024, dtype=np.float32) / 48_000
                tone = np.tile(0.1 * np.sin(2764.6 * times), (2, 1)).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(tone, "fltp", "stereo")
                frame.sample_rate, frame.pts = 48_000, round(given_s * 48_000)
                made.mux(sound.encode(frame))
                given_s += 1024 / 48_000
            packet.stream = pictures
            made.mux(packet)
        made.mux(sound.encode())
    return out


def cpu(call: Callable[[], Any]) -> float:
    """CPU seconds of this process."""
    started = time.process_time()
    call()
    return time.process_time() - started


def afresh(folder: Path, call: Callable[[Path], Any]) -> float:
    """CPU seconds of this process for what writes into a folder that is empty before; emptying it does not count."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return cpu(partial(call, folder=folder))  # type: ignore[call-arg]


def medians(rounds: int, **calls: Callable[[], Any]) -> dict[str, float]:
    """The median CPU seconds of each, in turn; of a call that says itself how long it took, what it says."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(call() if getattr(call, "func", None) is afresh else cpu(call))
    return {name: statistics.median(times) for name, times in found.items()}


def row(what: str, ours: float, limit: float, wanted: str) -> None:
    """A line of the report: the ratio is how fast ours is beside the limit."""
    print(
        f"{what:44s} {ours:8.3f} s   against {limit:8.3f} s   ratio {limit / ours:6.2f}   (wanted {wanted})",
        flush=True,
    )


def report_transcode(source: Path, work: Path, seconds: float, rounds: int) -> None:
    """Back-to-back clips of ten seconds."""
    spans = [(float(k), float(k + 10)) for k in range(0, min(round(seconds), 40), 10)]
    found = medians(
        rounds,
        ours=partial(cut, source, spans, work, "transcode"),
        bare=partial(bare_transcode, source, spans, work),
    )
    row(f"transcode, {len(spans)} clips of 10 s", found["ours"], found["bare"], ">= 0.90")


def report_copy(source: Path, work: Path, seconds: float, rounds: int) -> None:
    """The same on packets, of the whole length: clips of 20 s and of a group, without sound and with it."""
    for what, file in (("copy", source), ("copy with sound", with_sound(source, work / "sound.mp4"))):
        for length in (20, GOP // FPS):
            spans = [(float(k), float(k + length)) for k in range(0, round(seconds), length)]
            calls = {"ours": partial(cut, file, spans, mode="copy"), "bare": partial(bare_copy, file, spans)}
            found = medians(
                3 * rounds, **{name: partial(afresh, work / name, call) for name, call in calls.items()}
            )
            for number in range(len(spans)):
                ours, bare = (packets_of(work / name / f"{number}.mp4") for name in calls)
                assert ours == bare, f"clip {number} is not the one of the bare loop"
            row(f"{what}, {len(spans)} clips of {length} s", found["ours"], found["bare"], ">= 0.80")


def report_smart(source: Path, work: Path, seconds: float, rounds: int) -> None:
    """Clips of half a minute that begin and end inside groups."""
    spans = [(k + 0.7, k + 30.5) for k in range(0, round(seconds) - 30, 30)][:2]
    found = medians(
        rounds,
        smart=partial(cut, source, spans, work, "smart"),
        transcode=partial(cut, source, spans, work, "transcode"),
    )
    assert {r.mode_used for r in cut(source, spans, work, "smart")} == {"smart"}
    row(f"smart, {len(spans)} clips of 30 s, against transcode", found["smart"], found["transcode"], ">= 3")


def go(recipe: str, folder: Path) -> dict[str, Any]:
    """Run a recipe in this process, with a store of its own."""
    from sluice.recipe.load import loads
    from sluice.run import run

    shutil.rmtree(folder, ignore_errors=True)
    summary: dict[str, Any] = run(
        loads(recipe), output=str(folder / "out"), store=str(folder / "store"), workers=0, quiet=True
    )
    return summary


def measured(source: Path, work: Path) -> list[float]:
    """The sharpness of every clip, ascending."""
    import pyarrow.parquet as pq

    rule = "video_sharpness_mean >= 0"
    recipe = SPLIT.format(source=source, rule=rule, output=work).replace("mode: transcode", "mode: copy")
    summary = go(recipe, work / "values")
    table = pq.read_table(Path(summary["output"]) / "clips.parquet")
    return sorted(table.column("video_sharpness_mean").to_pylist())


def report_filter(folder: Path, work: Path) -> None:
    """Both orders of work, whole runs in one process, from nothing."""
    values = measured(folder, work)
    go(SPLIT.format(source=folder, rule=f"video_sharpness_mean >= {values[-1]}", output=work), work / "warm")
    for share, wanted in ((0.6, ">= 1.5"), (0.9, ">= 2")):
        rule = f"video_sharpness_mean >= {values[round(len(values) * share)]}"
        first = SPLIT.format(source=folder, rule=rule, output=work)
        everything = SPLIT.format(source=folder, rule="true", output=work).replace("  - keep: true\n", "")
        ours = cpu(partial(go, first, work / "first"))
        theirs = cpu(partial(go, everything, work / "all"))
        theirs += cpu(
            partial(go, FILTER.format(source=work / "all/out", rule=rule, output=work), work / "after")
        )
        row(f"rules that drop {share:.0%} of {len(values)} clips", ours, theirs, wanted)


def report_decodes(source: Path, work: Path) -> None:
    """What the counters say of splitting by shots, writing what is kept, and splitting again."""
    from sluice.codec.video.clip import ClipSettings, ClipSpan, CutWork, Mode
    from sluice.codec.video.cut import cut_clips
    from sluice.codec.video.info import probe
    from sluice.operator.tracks import decoded
    from sluice.ops.video.shots import hard_cuts  # noqa: F401 - loads the tracks
    from sluice.recipe.load import load
    from sluice.run import run
    from sluice.sample import Media

    media = Media(str(source), 0, source.stat().st_size)
    frames = probe(media).frame_count or 0
    options: dict[str, Any] = {"store": str(work / "counted-store"), "workers": 0, "quiet": True}
    before = decoded().frames
    settings = ["write.settings.mode=transcode", "steps.0.split.video_split_shots.max_length_s=4"]
    summary = run(load("video-split", settings, source=str(source)), output=str(work / "counted"), **options)
    tracked = decoded().frames - before
    rows = _rows(Path(summary["output"]))
    kept = sorted(rows, key=lambda r: r["start_s"])[::3]
    shots = [ClipSpan(r["start_s"], r["end_s"]) for r in kept]
    long = [ClipSpan(k + 0.7, k + 20.5) for k in range(0, round(frames / FPS) - 20, 60)]
    cases: list[tuple[str, Mode, list[ClipSpan]]] = [
        ("shots", "transcode", shots),
        ("shots", "smart", shots),
        ("20 s", "transcode", long),
        ("20 s", "smart", long),
    ]
    for what, mode, spans in cases:
        counted = CutWork()
        clips: list[Any] = list(cut_clips(media, spans, ClipSettings(mode), folder=work, work=counted))
        share = sum(clip.frame_count for clip in clips) / frames
        total = (tracked + counted.frames_decoded) / frames
        print(
            f"decodes a source, {share:.3f} kept, {what}, {mode:9s} {total:14.3f}   (wanted <= {1 + share:.3f})",
            flush=True,
        )
    before = decoded().frames
    again = [*settings, "steps.0.split.video_split_shots.trim_s=0.2", "write.settings.mode=copy"]
    run(load("video-split", again, source=str(source)), output=str(work / "counted-again"), **options)
    print(f"frames decoded when split again otherwise  {decoded().frames - before:8d}   (wanted 0)")


def _rows(output: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(output / "clips.parquet").to_pylist()
    return rows


def split_alone(source: Path, output: Path) -> float:
    """The peak resident size, in MB, of a process that splits and writes a source."""
    code = (
        "import resource, sys; from sluice.recipe.load import load; from sluice.run import run\n"
        "run(load('video-split', [], source=sys.argv[1]), output=sys.argv[2], workers=0, quiet=True)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(output)], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 1024


def report_memory(videos: Path, work: Path) -> None:
    """One minute and ten, at 320 x 180."""
    small = piece(videos, work / "small.mp4", (320, 180))
    peaks = []
    for length in (60, 600):
        folder = work / f"long{length}"
        (folder / "in").mkdir(parents=True)
        looped(small, folder / "in" / "film.mp4", length)
        peaks.append(split_alone(folder / "in", folder / "out"))
    print(
        f"peak memory, 60 s and 600 s: {peaks[0]:.0f} and {peaks[1]:.0f} MB   ratio {peaks[1] / peaks[0]:.2f}",
        flush=True,
    )


def report_fallbacks(videos: Path, work: Path) -> None:
    """Every real video but for a third of a second at either end."""
    from sluice.codec.video.clip import ClipFailure, ClipSettings, ClipSpan
    from sluice.codec.video.cut import cut_clips
    from sluice.codec.video.info import probe
    from sluice.sample import Media

    reasons: dict[str, list[str]] = {}
    count = 0
    for path in sorted(videos.iterdir()):
        media = Media(str(path), 0, path.stat().st_size)
        duration = probe(media).duration_s
        span = ClipSpan(0.3, duration - 0.3) if duration > 1 else ClipSpan()
        for result in cut_clips(media, [span], ClipSettings("smart"), folder=work):
            count += 1
            why = result.reason if isinstance(result, ClipFailure) else result.fallback_reason
            reasons.setdefault(why or "", []).append(path.name)
    cut_well = len(reasons.pop("", []))
    print(f"smart: {cut_well} of {count} real videos, the others transcoded")
    for why, names in sorted(reasons.items()):
        print(f"    {len(names):2d} {why}: {', '.join(names)}", flush=True)


def report_cores(one: Path, work: Path, seconds: float) -> None:
    """`sluice run` on as many sources as there are cores, cold, against the bare loop in as many processes."""
    cores = len(os.sched_getaffinity(0))
    folder = work / "cores"
    (folder / "in").mkdir(parents=True)
    sources = [looped(one, folder / "in" / f"{k}.mp4", seconds) for k in range(2 * cores)]
    for k, source in enumerate(sources):  # a box of its own: copies of one video would have their clips once
        source.write_bytes(source.read_bytes() + struct.pack(">I4sI", 12, b"free", k))
    spans = [(float(k), float(k + 10)) for k in range(0, round(seconds), 10)]
    recipe = folder / "recipe.yaml"
    text = SPLIT.format(source=folder / "in", rule="true", output=folder / "out").replace(
        "  - keep: true\n", ""
    )
    recipe.write_text(text.replace("length_s: 4", "length_s: 10"))
    started = time.perf_counter()
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(bare_transcode, sources, [spans] * len(sources), _folders(folder, len(sources))))
    bare = time.perf_counter() - started
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "run", str(recipe), "--quiet", "--json"],
        check=True,
        stdout=subprocess.PIPE,
    )
    assert json.loads(done.stdout)["kept"] == len(sources) * len(spans), "both write every clip"
    row(f"whole run, {len(sources)} sources, {cores} cores", time.perf_counter() - started, bare, ">= 0.90")


def _folders(folder: Path, count: int) -> list[Path]:
    found = [folder / f"bare{k}" for k in range(count)]
    for each in found:
        each.mkdir()
    return found


def main() -> None:
    """Run the parts and print their rows."""
    from sluice.run.memory import reuse_memory

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    videos, seconds, rounds = options.data / "videos", options.seconds, options.rounds
    work = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    reuse_memory()  # as in every worker; the bare loops have it too
    try:
        one = piece(videos, work / "piece.mp4")
        (work / "in").mkdir()
        source = looped(one, work / "in" / "source.mp4", seconds)
        parts: dict[str, Callable[[], None]] = {
            "transcode": partial(report_transcode, source, work, seconds, rounds),
            "copy": partial(report_copy, source, work, seconds, rounds),
            "smart": partial(report_smart, source, work, seconds, rounds),
            "filter": partial(report_filter, work / "in", work),
            "decodes": partial(report_decodes, source, work),
            "memory": partial(report_memory, videos, work),
            "fallbacks": partial(report_fallbacks, videos, work),
            "cores": partial(report_cores, one, work, seconds),
        }
        for name, part in parts.items():
            if not options.only or name in options.only:
                part()
        print(f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
