"""Whole runs over hostile operators, files, archives and tables: every sample is counted, the good ones are kept."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from operators_hostile import image_fragile, image_fragile_score
from PIL import Image

from sluice.codec.limits import Limits
from sluice.operator import Registry, registry
from sluice.recipe.load import load, loads
from sluice.run import run
from sluice.run.engine import WorkerLimits
from sluice.run.local import LocalEngine
from sluice.run.verify import verify
from sluice.storage import Location
from sluice.store import RunDir


def picture(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(out, format="JPEG")
    return out.getvalue()


def conserved(summary: dict[str, Any]) -> None:
    fates = ("kept", "dropped", "duplicate", "failed")
    assert summary["read"] == sum(summary[fate] for fate in fates)
    assert sum(summary["failures"].values()) == summary["failed"]


def fates(output: Path) -> dict[str, tuple[str, str | None]]:
    """Key → fate and reason."""
    table = pq.read_table(output / "selection.parquet", columns=["key", "fate", "reason"])
    return {row["key"]: (row["fate"], row["reason"]) for row in table.to_pylist()}


def verified(output: Path) -> dict[str, int]:
    return verify(RunDir.of(Location(output)), quiet=True)


# Operators.

OPERATORS = Registry([*registry(), *registry().features(), image_fragile.spec, image_fragile_score.spec])


def make_pictures(folder: Path, deeds: dict[int, str], count: int) -> Path:
    folder.mkdir(parents=True)
    for k in range(count):
        trailer = b"\0" + deeds[k].encode() if k in deeds else b""
        (folder / f"p{k:03d}.jpg").write_bytes(picture(k) + trailer)
    return folder


def broken_run(
    tmp_path: Path, rule: str, deeds: dict[int, str], count: int, limits: WorkerLimits
) -> dict[str, Any]:
    source = make_pictures(tmp_path / "in", deeds, count)
    recipe = loads(f"source: in\nsteps: [keep: '{rule}']\nwrite: out", source=str(source))
    with LocalEngine(2, limits) as engine:
        summary = run(recipe, output=str(tmp_path / "out"), engine=engine, operators=OPERATORS, quiet=True)
    conserved(summary)
    return summary


def failed(output: Path) -> dict[int, str]:
    return {int(key[1:]): reason or "" for key, (fate, reason) in fates(output).items() if fate == "failed"}


def test_operators_that_break_on_single_samples_cost_these_alone(tmp_path: Path) -> None:
    deeds = {
        3: ("one:RAISE", "ZeroDivisionError"),
        7: ("one:HANG", "time limit"),
        11: ("one:HOARD", "out of memory"),
        12: ("one:GROW", "out of memory"),
        13: ("one:SEGV", "crash: SIGSEGV"),
        21: ("one:ABORT", "crash: SIGABRT"),
        29: ("one:LEAVE", "crash: exit code 9"),
    }
    limits = WorkerLimits(sample_s=1, memory_mb=256, codec=Limits())
    told = {k: deed for k, (deed, _) in deeds.items()}
    summary = broken_run(tmp_path, "image_fragile >= 1 and image_sharpness >= 0", told, 30, limits)
    assert (summary["read"], summary["kept"]) == (30, 23)
    assert failed(tmp_path / "out") == {k: f"image_fragile: {why}" for k, (_, why) in deeds.items()}
    assert verified(tmp_path / "out")["kept"] == 23


def test_operators_that_take_batches_cost_the_guilty_samples_alone(tmp_path: Path) -> None:
    deeds = {
        1: ("all:RAISE", "ZeroDivisionError"),
        5: ("all:SEGV", "crash: SIGSEGV"),
        8: ("all:GROW", "out of memory"),
    }
    limits = WorkerLimits(sample_s=1, memory_mb=256, codec=Limits())
    told = {k: deed for k, (deed, _) in deeds.items()}
    rule = "image_fragile_score >= 0 and image_sharpness >= 0"
    summary = broken_run(tmp_path, rule, told, 30, limits)
    assert (summary["read"], summary["kept"]) == (30, 27)
    assert failed(tmp_path / "out") == {k: f"image_fragile_score: {why}" for k, (_, why) in deeds.items()}


def test_a_batch_that_hangs_is_given_its_samples_time_and_then_searched(tmp_path: Path) -> None:
    limits = WorkerLimits(sample_s=0.4, memory_mb=256, codec=Limits())
    summary = broken_run(tmp_path, "image_fragile_score >= 0", {2: "all:HANG"}, 6, limits)
    assert (summary["read"], summary["kept"]) == (6, 5)
    assert failed(tmp_path / "out") == {2: "image_fragile_score: time limit"}
    assert summary["seconds"] < 30


# Files.

OUTCOMES = json.loads((Path(__file__).parent / "image_outcomes.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_all_bad_and_good_pictures_in_one_folder(data_dir: Path, tmp_path: Path) -> None:
    """The ready recipe over every bad file and every photograph: the good ones lose nothing by the company."""
    for part in ("bad", "photos"):
        shutil.copytree(data_dir / part, tmp_path / "in" / part)
    ready = Path(__file__).parents[2] / "recipes" / "images.yaml"
    settings = ["max_failed=90%", "source.format=folder", "write.shard_size=5MB"]
    recipe = load(str(ready), settings, source=str(tmp_path / "in"))
    summary = run(recipe, output=str(tmp_path / "out"), workers=2, quiet=True)
    conserved(summary)
    assert verified(tmp_path / "out")["kept"] == summary["kept"] > 80
    found = fates(tmp_path / "out")
    for name, row in OUTCOMES.items():
        fate, reason = found.get(f"bad/{name}") or found[f"bad/{name.rpartition('.')[0] or name}"]
        expected = {"bomb": "bomb", "failed": row.get("reason"), "ok": None}[row["outcome"]]
        if "." not in name or name == "file-type__fixture-corrupt.png":
            # Nothing says that the one is an image; the other stands beside a video of its name, with which it
            # makes one sample that loses the item.
            expected = None
        assert (fate == "failed", reason) == (expected is not None, expected), name
    failed_photos = {k: reason for k, (fate, reason) in found.items() if fate == "failed" and k[:3] != "bad"}
    assert failed_photos == {"photos/metadata-extractor-images__IMG_2927": "unsupported format"}  # HEIC


def test_names_in_broken_encodings(tmp_path: Path) -> None:
    names = [
        b"caf\xe9.jpg",
        b"\xff\xfe.jpg",
        b"new\nline.jpg",
        "ça va 日本.jpg".encode(),
        b"100%.jpg",
        b"a b.jpg",
    ]
    (tmp_path / "in").mkdir()
    for k, name in enumerate(names):
        Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name)).write_bytes(picture(k))
    summary = kept_all(tmp_path, "image_width_px >= 1")
    assert (summary["read"], summary["kept"]) == (6, 4)
    assert summary["failures"] == {"file name is not Unicode": 2}
    assert sorted(members_everywhere(tmp_path / "out").values()) == sorted(picture(k) for k in range(2, 6))


class Meddler(LocalEngine):
    """An engine before whose second job (the writing) something happens to the source."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__(0)
        self.meddle, self.jobs = meddle, 0

    def run(self, job: Any, tasks: Any) -> Any:
        self.jobs += 1
        if self.jobs == 2:
            self.meddle()
        return super().run(job, tasks)


def test_a_folder_that_changes_during_the_run(tmp_path: Path) -> None:
    source = make_pictures(tmp_path / "in", {}, 12)

    def meddle() -> None:
        (source / "p001.jpg").unlink()
        (source / "p004.jpg").write_bytes(picture(99))
        (source / "p007.jpg").write_bytes(picture(7)[:-40])
        (source / "q.jpg").write_bytes(picture(100))

    recipe = loads("source: in\nsteps: [keep: image_sharpness >= 0]\nwrite: out", source=str(source))
    summary = run(recipe, output=str(tmp_path / "out"), engine=Meddler(meddle), quiet=True)
    conserved(summary)
    assert (summary["read"], summary["kept"]) == (12, 9)
    assert set(failed(tmp_path / "out")) == {1, 4, 7}
    assert verified(tmp_path / "out")["kept"] == 9
    again = run(recipe, output=str(tmp_path / "out"), workers=0, quiet=True)
    conserved(again)
    assert (again["read"], again["kept"], again["failures"]) == (12, 11, {"truncated": 1})
    assert verified(tmp_path / "out")["kept"] == 11


# Archives.


def kept_all(tmp_path: Path, rule: str, **write: Any) -> dict[str, Any]:
    settings = [f"write.{name}={value}" for name, value in write.items()]
    recipe = loads(f"source: in\nsteps: [keep: {rule}]\nwrite: out", settings, source=str(tmp_path / "in"))
    summary = run(recipe, output=str(tmp_path / "out"), workers=0, quiet=True)
    conserved(summary)
    verified(tmp_path / "out")
    return summary


def members_everywhere(output: Path) -> dict[str, bytes]:
    """The members of all shards, after three independent readers have agreed on them."""
    found: dict[str, bytes] = {}
    for shard in sorted(output.glob("*.tar")):
        plain = {**os.environ, "LC_ALL": "C"}
        listed = subprocess.run(["tar", "-tf", str(shard)], capture_output=True, check=True, env=plain)
        with tarfile.open(shard) as tar:
            ours = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isreg()}  # type: ignore[union-attr]
            assert len(ours) == len(tar.getnames()), "only plain files, each once"
        assert listed.stdout.decode().splitlines() == quoted_as_by_tar(list(ours))
        theirs: dict[str, bytes] = {}
        for sample in seen_by_webdataset(shard):
            theirs |= {f"{sample['__key__']}.{k}": v for k, v in sample.items() if not k.startswith("__")}
        assert {name.lower(): data for name, data in ours.items()} == {
            n.lower(): d for n, d in theirs.items()
        }
        assert not found.keys() & ours.keys()
        assert not any(name.startswith("/") or ".." in name.split("/") for name in ours)
        found |= ours
    return found


def seen_by_webdataset(shard: Path) -> list[dict[str, Any]]:
    with warnings.catch_warnings():  # of files that it leaves open
        warnings.simplefilter("ignore")
        import webdataset

        return list(webdataset.WebDataset(str(shard), shardshuffle=False, empty_check=False))


def quoted_as_by_tar(names: list[str]) -> list[str]:
    """Names as `tar -t` prints them: bytes beyond ASCII, control characters and backslashes escaped."""
    escapes = {0x0A: "\\n", 0x5C: "\\\\"}
    return [
        "".join(
            escapes.get(b, chr(b)) if 0x20 <= b < 0x7F or b in escapes else f"\\{b:03o}"
            for b in name.encode()
        )
        for name in names
    ]


F, LINK, HARD, DEVICE, PIPE = (
    tarfile.REGTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.FIFOTYPE,
)
BAD_MEMBERS: dict[str, tuple[list[tuple[str, bytes]], dict[str, str]]] = {
    "absolute": ([("/etc/passwd.jpg", F)], {"/etc/passwd": "unsafe member name"}),
    "dotdot": ([("../../x.jpg", F)], {"../../x": "unsafe member name"}),
    "symlink": ([("b.jpg", LINK), ("b.txt", F)], {"b": "link member"}),
    "hardlink": ([("b.txt", F), ("b.jpg", HARD)], {"b": "link member"}),
    "device": ([("b.jpg", DEVICE)], {"b": "device member"}),
    "pipe": ([("b.jpg", PIPE)], {"b": "device member"}),
    "twice": ([("b.jpg", F), ("b.jpg", F)], {"b": "duplicate member"}),
    "apart": (
        [("b.jpg", F), ("c.jpg", F), ("b.txt", F), ("c.txt", F)],
        {"b": "members not adjacent", "c": "members not adjacent"},
    ),
}


def hostile_tar(number: int, members: list[tuple[str, bytes]]) -> tuple[bytes, list[bytes]]:
    """A tar with a good sample before and after bad members, and the pictures of the good ones."""
    good = [picture(10 * number), picture(10 * number + 1)]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data, kind in (
            ("a.jpg", good[0], F),
            ("a.txt", b"first", F),
            *((name, picture(10 * number + 2), kind) for name, kind in members),
            ("caf\udce9.jpg", good[1], F),
            ("caf\udce9.txt", b"last", F),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.jpg" if kind in (LINK, HARD) else ""
            info.size = len(data) if kind == F else 0
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue(), good


@pytest.mark.parametrize("packed", [False, True])
def test_hostile_archives(tmp_path: Path, packed: bool) -> None:
    """Keys repeat over all shards; what is good of every archive comes out, under names of its own."""
    (tmp_path / "in").mkdir()
    expected, reasons = [], Counter[str]()
    for number, (name, (members, failures)) in enumerate(BAD_MEMBERS.items()):
        data, good = hostile_tar(number, members)
        expected += good
        reasons.update(failures.values())
        write_tar(tmp_path / "in" / f"{name}.tar", data, packed)
    data, good = hostile_tar(90, [("b.jpg", F)])
    write_tar(tmp_path / "in" / "cut.tar", data[: data.rindex(b"last") - 700], packed)
    write_tar(tmp_path / "in" / "empty.tar", b"", packed)
    write_tar(tmp_path / "in" / "noise.tar", np.random.default_rng(3).bytes(30_000), packed)
    expected += [good[0], picture(902)]
    summary = kept_all(tmp_path, "image_sharpness >= 0", shard_samples=5)
    assert summary["kept"] == len(expected)
    for reason, count in reasons.items():
        assert summary["failures"][reason] == count
    assert summary["failed"] == sum(reasons.values()) + 3
    members = members_everywhere(tmp_path / "out")
    assert sorted(d for n, d in members.items() if n.endswith(".jpg")) == sorted(expected)
    assert Counter(d for n, d in members.items() if n.endswith(".txt"))[b"first"] == len(BAD_MEMBERS) + 1


def write_tar(path: Path, data: bytes, packed: bool) -> None:
    if packed:
        path.with_suffix(".tar.gz").write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)


# Tables.


def test_a_table_of_the_wrong_schema_among_good_ones(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        rows = {"image": [picture(10 * number + k) for k in range(4)], "caption": [f"c{k}" for k in range(4)]}
        pq.write_table(pa.table(rows), tmp_path / "in" / f"good-{number}.parquet")
    wrong = {"other.parquet": {"x": [1, 2, 3]}, "numbers.parquet": {"image": [1, 2], "caption": [1.5, 2.5]}}
    for name, columns in wrong.items():
        pq.write_table(pa.table(columns), tmp_path / "in" / name)
    (tmp_path / "in" / "noise.parquet").write_bytes(np.random.default_rng(1).bytes(5000))
    whole = (tmp_path / "in" / "good-2.parquet").read_bytes()
    (tmp_path / "in" / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    summary = kept_all(tmp_path, "image_sharpness >= 0")
    # Rows without a picture have no sharpness; files that are no tables fail as a whole.
    assert (summary["read"], summary["kept"], summary["dropped"]) == (19, 12, 5)
    assert summary["yields"][0]["null"] == 5
    assert summary["failed"] == 2
    members = members_everywhere(tmp_path / "out")
    assert sum(name.endswith(".jpg") for name in members) == 12
