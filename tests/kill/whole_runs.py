"""Whole runs by the command line, as users start them, for tests that stop them half-way and compare bytes."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from processes import session_of, until
from sluice.storage import Location

TESTS = Path(__file__).resolve().parents[1]

RECIPE = """
source: {path: in}
steps:
  - keep: {rule: image_width_px >= 40, name: too small}
  - measure: [image_sharpness, image_noise]
  - keep: {rule: image_fragile_score <= 0.95, name: unlucky}
  - dedup: {by: image_content_hash, name: same file}
  - dedup: {by: image_phash, distance: 2, name: same picture}
  - measure: [{image_fragile_score: {salt: 1, as: image_second_score}}]
  - keep: {rule: image_second_score >= 0.05, name: unlucky again}
write: {path: out, shard_samples: 16}
max_failed: 20%
"""
"""Two passes, each with a dear operator behind gates."""

OF_THE_RUN = {"_sluice/summary.json", "_sluice/run.json", "_sluice/report.html"}
"""Files of an output that tell of the run itself (times, memory), not of its results."""


def photo(seed: int, width: int = 160, height: int = 120) -> bytes:
    """An encoded picture with detail at every scale, unlike any other seed's."""
    chance = np.random.default_rng(seed)
    base = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64):
        noise = Image.fromarray(chance.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        base += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 3
    out = io.BytesIO()
    Image.fromarray(base.astype(np.uint8)).save(out, format="JPEG", quality=85)
    return out.getvalue()


def tar_source(folder: Path, shards: int, samples: int) -> Path:
    """Tar shards of captioned pictures: one in 10 too small, one in 12 a copy, one in 15 broken."""
    folder.mkdir(parents=True)
    for shard in range(shards):
        with tarfile.open(folder / f"part-{shard:03d}.tar", "w") as tar:
            for k in range(samples):
                number = shard * samples + k
                for name, data in _members(number):
                    info = tarfile.TarInfo(f"s{number:06d}.{name}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return folder


def _members(number: int) -> list[tuple[str, bytes]]:
    caption = ("txt", f"picture {number}".encode())
    if number % 10 == 3:
        return [("jpg", photo(number, 32, 32)), caption]
    if number % 12 == 5:
        return [("jpg", photo(number - 1)), caption]
    if number % 15 == 7:
        return [("jpg", photo(number)[:400]), caption]
    return [("jpg", photo(number)), caption, ("cls", b"%d" % (number % 10))]


def plugin(folder: Path, module: str = "operators_hostile") -> Path:
    """A folder for PYTHONPATH that makes a module's operators known as an installed package would."""
    info = folder / "breaking-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: breaking\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[sluice.operators]\nbreaking = {module}\n")
    return folder


@dataclass
class Command:
    """`sluice run` on one source, output and store; started as often as it takes."""

    folder: Path
    source: str
    output: str
    store: str
    recipe: str = RECIPE
    workers: int = 2
    settings: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    """What goes before the interpreter, such as a shell that sets a limit."""
    options: tuple[str, ...] = ()

    def start(self) -> subprocess.Popen[str]:
        """A driver in a session of its own, so that all its processes can be found."""
        recipe = self.folder / "recipe.yaml"
        recipe.write_text(self.recipe)
        known = self.folder / "plugin"
        if not known.exists():
            plugin(known)
        path = [str(known), str(TESTS / "hostile"), str(TESTS.parent / "src")]
        options = [str(recipe), "--source", self.source, "--output", self.output, "--store", self.store]
        options += [*self.options, "--workers", str(self.workers), "--quiet", "--json"]
        options += [part for setting in self.settings for part in ("--set", setting)]
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-W", "error", "-m", "sluice", "run", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.env, "PYTHONPATH": os.pathsep.join(path)},
            start_new_session=True,
        )

    def finish(self) -> str:
        """Run to the end, which must be a good one; what it printed."""
        driver = self.start()
        out, err = driver.communicate(timeout=120)
        assert (driver.returncode, err) == (0, ""), out + err
        assert_gone(driver)
        return out

    def kill(self, driver: subprocess.Popen[str]) -> None:
        """SIGKILL to the driver alone; its workers must die by themselves."""
        driver.kill()
        driver.communicate()
        assert_gone(driver)


def assert_gone(driver: subprocess.Popen[str]) -> None:
    """No process of a driver that has ended lives on."""
    assert until(lambda: not session_of(driver.pid), 10), session_of(driver.pid)


def contents(url: str) -> dict[str, str]:
    """Path → digest of every file below, leftovers of writers included."""
    place = Location(url)
    if place.is_local:
        root = place.path
        files = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    else:
        files = {e.path: (place / e.path).read() for e in place.list()}
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def results(url: str) -> dict[str, str]:
    """The same of an output, without what tells of the run itself."""
    return {name: digest for name, digest in contents(url).items() if name not in OF_THE_RUN}


def leftovers(url: str) -> list[str]:
    """Unfinished files."""
    return [name for name in contents(url) if name.endswith(".tmp")]
