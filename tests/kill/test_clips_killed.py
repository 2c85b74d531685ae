"""Clips are being written when the run is killed, the disk fills up or a worker dies: none is ever there in part."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from whole_runs import Command, contents, leftovers, results

from made_videos import made, scenes
from processes import until, workers_of
from sluice.storage import Location

pytest_plugins = ["servers"]

SOURCES = 4
RECIPE = """
source: {path: in/}
steps:
  - split: {video_split_stride: {length_s: 2}}
write:
  path: out/
  format: clips
  shard_samples: 2
  settings: {preset: slow, previews: true}
"""
APART = """
source: {path: in/}
steps:
  - split: {video_split_stride: {length_s: 2.4, min_length_s: 1}}
  - keep: {rule: video_duration_s >= 2, name: short}
write:
  path: out/
  format: clips
  shard_samples: 1
  keep_dropped: true
  settings: {preset: slow, previews: true}
"""
"""The first of the two clips of each video is kept."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of four seconds, from each of which come two clips."""
    folder = tmp_path_factory.mktemp("videos")
    for n in range(SOURCES):
        (folder / f"v{n}.mp4").write_bytes(made(scenes([60, 40], 320, 192, seed=n), sound_s=4))
    return folder


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an undisturbed run leaves in its output."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = command_in(folder, source)
    summary = json.loads(command.finish())
    assert (summary["kept"], summary["shards"]) == (2 * SOURCES, SOURCES)
    return written(command)


def written(command: Command) -> dict[str, str]:
    """All files of the output with their digests, but for those that tell where the run's places are."""
    return {
        n: d for n, d in results(command.output).items() if n not in ("dataset.json", "_sluice/lock.yaml")
    }


def command_in(folder: Path, source: Path, recipe: str = RECIPE) -> Command:
    return Command(folder, str(source), str(folder / "out"), str(folder / "store"), recipe)


def assert_whole(command: Command, undisturbed: dict[str, str]) -> None:
    """What stands under its own name in the output is as in the undisturbed run."""
    folders = ("clips/", "filtered_clips/", "previews/", "metas/", "rows/")
    found = {n: d for n, d in contents(command.output).items() if n.startswith(folders) and "/." not in n}
    assert found.items() <= undisturbed.items()


def test_killed_while_clips_are_cut_the_same_command_ends_in_the_same_files(
    source: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    command = command_in(tmp_path, source)
    output = Path(command.output)
    moments: list[tuple[str, Callable[[], bool]]] = [
        ("a clip is being encoded", lambda: any(output.glob(".clips-*.tmp/*.mp4"))),
        ("a clip has its name", lambda: any(output.glob("clips/*.mp4"))),
        ("a shard is in the ledger", lambda: any(output.glob("_sluice/shards/*.json"))),
    ]
    kill_at(moments, command, undisturbed)
    command.finish()
    assert leftovers(command.output) == leftovers(command.store) == []
    assert not list(output.glob(".clips-*"))
    assert written(command) == undisturbed


def kill_at(
    moments: list[tuple[str, Callable[[], bool]]], command: Command, undisturbed: dict[str, str]
) -> None:
    """Start the command as often as there are moments, and kill it when each has come."""
    for what, reached in moments:
        driver = command.start()
        assert until(lambda r=reached, d=driver: r() or d.poll() is not None, 60)  # type: ignore[misc]
        assert driver.poll() is None, f"over before {what}"
        command.kill(driver)
        assert_whole(command, undisturbed)


@pytest.mark.slow
def test_killed_while_dropped_clips_are_written_the_same_command_ends_in_the_same_files(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "undisturbed").mkdir()
    whole = command_in(tmp_path / "undisturbed", source, APART)
    summary = json.loads(whole.finish())
    assert (summary["kept"], summary["dropped_written"]["samples"]) == (SOURCES, SOURCES)
    undisturbed = written(whole)
    command = command_in(tmp_path, source, APART)
    output = Path(command.output)
    moments: list[tuple[str, Callable[[], bool]]] = [
        ("a dropped clip has its name", lambda: any(output.glob("filtered_clips/*.mp4"))),
        ("a shard of them is in their ledger", lambda: any(output.glob("_sluice/dropped/shards/*.json"))),
    ]
    kill_at(moments, command, undisturbed)
    command.finish()
    assert not list(output.glob(".clips-*"))
    assert written(command) == undisturbed


def test_a_worker_that_dies_in_the_encoder_costs_nothing(
    source: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    command = command_in(tmp_path, source)
    driver = command.start()
    encoding = Path(command.output)
    assert until(lambda: any(encoding.glob(".clips-*.tmp/*.mp4")) or driver.poll() is not None, 60)
    for pid in workers_of(driver.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    out, err = driver.communicate(timeout=120)
    assert (driver.returncode, err) == (0, ""), out + err
    assert json.loads(out)["kept"] == 2 * SOURCES
    assert written(command) == undisturbed


def test_a_full_disk_is_an_error_and_no_clip_is_there_in_part(
    source: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    command = command_in(tmp_path, source)
    limited = replace(command, prefix=limit_files(12_000))
    driver = limited.start()
    out, err = driver.communicate(timeout=60)
    message = json.loads(out)
    assert driver.returncode == 1, out + err
    assert message["where"].startswith(command.output)
    assert message["fix"]
    assert_whole(command, undisturbed)
    command.finish()
    assert written(command) == undisturbed


def limit_files(size: int) -> tuple[str, ...]:
    """What starts a command that may write no file beyond so many bytes."""
    code = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    return sys.executable, "-c", code, str(size)


@pytest.mark.slow
def test_clips_in_a_bucket_are_those_on_a_disk(
    s3: str, source: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    for video in source.iterdir():
        Location(f"{s3}/in/{video.name}").upload(video)
    temporary = Path(tempfile.mkdtemp())  # short: a socket lies in it, whose path may have 107 bytes
    command = Command(
        tmp_path, f"{s3}/in", f"{s3}/out", f"{s3}/store", RECIPE, env={"TMPDIR": str(temporary)}
    )
    driver = command.start()
    assert until(lambda: any(temporary.glob("sluice-clips-*/*.mp4")) or driver.poll() is not None, 60)
    assert driver.poll() is None
    os.killpg(driver.pid, signal.SIGKILL)  # workers too: they would tidy up when they see their driver gone
    command.kill(driver)
    assert any(temporary.glob("sluice-clips-*")), "what it was cutting is left"
    command.finish()
    assert not list(temporary.glob("sluice-clips-*"))
    shutil.rmtree(temporary)
    expected = {n: d for n, d in undisturbed.items() if n.endswith((".mp4", ".webp"))}
    assert expected.items() <= contents(command.output).items()
    table = pq.read_table(io.BytesIO((Location(command.output) / "clips.parquet").read()))
    assert table.num_rows == 2 * SOURCES


@pytest.mark.slow
def test_what_a_killed_run_wrote_goes_where_the_next_one_keeps_something_else(
    source: Path, tmp_path: Path
) -> None:
    command = command_in(tmp_path, source)
    output = Path(command.output)
    driver = command.start()
    assert until(lambda: any(output.glob("clips/*.mp4")) or driver.poll() is not None, 60)
    assert driver.poll() is None
    command.kill(driver)
    begun = {path.stem for path in output.glob("clips/*.mp4")}
    others = RECIPE.replace("write:", "  - keep: {rule: video_duration_s > 10, name: long}\nwrite:")
    summary = json.loads(replace(command, recipe=others, options=("--update",)).finish())
    assert begun
    assert (summary["kept"], summary["dropped"]) == (0, 2 * SOURCES)
    assert not [p for name in ("clips", "metas") for p in (output / name).rglob("*") if p.is_file()]
