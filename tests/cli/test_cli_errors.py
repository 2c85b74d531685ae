"""Errors of the command line: exit codes, what is said where, and nothing that looks like a crash."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from commands import command, sluice

RUN_HERE = ("run", "images", "--source", "demo/source", "--output", "demo/curated")

CASES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "unknown command": (("verfy",), 2, "did you mean `sluice verify`?"),
    "unknown option": (("ops", "--modalty", "image"), 2, "--modality"),
    "missing argument": (("run",), 2, "RECIPE"),
    "no such recipe": (("run", "imagse"), 2, "did you mean `images`?"),
    "no such recipe file": (("run", "mine.yaml"), 2, "no such file"),
    "no such source": (("run", "images", "--source", "nowhere", "--output", "x"), 2, "nowhere"),
    "wrong rule": ((*RUN_HERE, "--set", "steps.0.keep.rule=image_widht_px >= 5"), 2, "image_width_px"),
    "wrong setting": ((*RUN_HERE, "--set", "write.shard_szie=1GB"), 2, "shard_size"),
    "another recipe's output": ((*RUN_HERE, "--set", "max_failed=50%"), 2, "--update"),
    "cluster": ((*RUN_HERE, "--engine", "ray"), 3, "not part of this version"),
    "no run here": (("verify", "demo/source"), 2, "there is no run here"),
    "no such key": (("why", "demo/curated", "coffee"), 2, "copies/coffee-copy"),
    "never measured": (("select", "demo/curated", "--keep", "image_noise <= 5"), 3, "measure: image_noise"),
    "unknown field": (("select", "demo/curated", "--keep", "image_nois <= 5"), 2, "image_noi"),
    "no such operator": (("ops", "image_sharpnes"), 2, "image_sharpness"),
    "no such modality": (("ops", "--modality", "imag"), 2, "'image'"),
    "no such kind": (("init", "imags"), 2, "did you mean `images`?"),
    "nothing to show": (("show", "demo/nothing"), 2, "no such file or folder"),
    "no pictures": (("preview", "demo/curated/selection.parquet", "--output", "x.png"), 2, "no pictures"),
    "unknown format": (("convert", "demo/source", "x", "--to", "webdatset"), 2, "'webdataset'"),
    "output in the source": (
        ("run", "images", "--source", "demo/source", "--output", "demo/source/x"),
        2,
        "inside",
    ),
    "output is the source": (
        ("plan", "images", "--source", "demo/source", "--output", "demo/source"),
        2,
        "inside",
    ),
    "output is a file": (
        ("run", "images", "--source", "demo/source", "--output", "demo/curated/dataset.json"),
        1,
        "already",
    ),
    "wrong size": (("convert", "demo/source", "x", "--shard-size", "lots"), 2, "not a size"),
    "wrong column": (("convert", "demo/source", "x", "--column", "image"), 2, "--column image=photo"),
}


@pytest.mark.parametrize("case", CASES)
def test_errors_say_what_and_exit_with_their_code(demo: Path, case: str) -> None:
    words, code, said = CASES[case]
    done = sluice(*words, cwd=demo)
    assert done.code == code, done.err
    assert said in done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert not (demo / "x").exists()


@pytest.mark.parametrize(
    "case", ["unknown command", "missing argument", "wrong rule", "cluster", "no such key"]
)
def test_errors_are_json_where_json_was_asked(demo: Path, case: str) -> None:
    words, code, _ = CASES[case]
    done = sluice(*words, "--json", cwd=demo)
    assert done.code == code
    assert done.document["exit_code"] == code
    assert set(done.document) >= {"error", "where", "fix", "exit_code"}
    assert done.document["error"]


def test_a_temporary_folder_too_deep_for_sockets_says_so(demo: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    words = ("run", "images", "--source", "demo/source", "--output", "x")
    done = sluice(*words, "--workers", "2", cwd=demo, TMPDIR=str(deep))
    assert done.code == 2, done.err
    assert "set TMPDIR to a folder with a shorter path" in done.err
    assert "Traceback" not in done.err
    assert not (demo / "x").exists()


def test_debug_shows_where_an_error_comes_from(demo: Path) -> None:
    for ran in (
        sluice("verify", "demo/source", "--debug", cwd=demo),
        sluice("--debug", "verify", "demo/source", cwd=demo),
        sluice("verify", "demo/source", cwd=demo, SLUICE_DEBUG="1"),
    ):
        assert ran.code == 2
        assert "Traceback" in ran.err
        assert "there is no run here" in ran.err


def test_a_reader_who_had_enough_is_no_error(demo: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command("ops"), cwd=demo, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 141


def test_hostile_names_are_shown_not_obeyed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a\x1b[31mred\x07.jpg").write_bytes(b"no picture")
    (tmp_path / "in/a\x1b[31mred\x07.txt").write_text("\x1b]0;title\x07 a caption")
    done = sluice("show", "in", cwd=tmp_path)
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "\x07" not in done.out
    assert "\\x1b[31mred" in done.out


def test_init_never_overwrites(tmp_path: Path) -> None:
    first = sluice("init", "images", "--source", "my photos, {all}/", "--output", "out", cwd=tmp_path)
    assert first.code == 0, first.err
    text = (tmp_path / "images.yaml").read_text()
    assert 'source: {path: "my photos, {all}/"}' in text
    assert "write: {path: out," in text
    assert text.count("#") > 10
    again = sluice("init", "images", cwd=tmp_path)
    assert again.code == 2
    assert "is there already" in again.err
    assert (tmp_path / "images.yaml").read_text() == text


def test_verify_exits_1_with_the_first_violation(own_demo: Path) -> None:
    tar = own_demo / "curated/00000.tar"
    data = bytearray(tar.read_bytes())
    data[5000] ^= 1
    tar.write_bytes(bytes(data))
    done = sluice("verify", "curated", cwd=own_demo)
    assert done.code == 1
    assert "another xxh3-128" in done.err
    assert done.out == ""
    as_json = sluice("verify", "curated", "--json", cwd=own_demo)
    assert as_json.code == 1
    assert as_json.document["where"] == str(tar)
