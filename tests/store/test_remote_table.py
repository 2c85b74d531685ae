"""A table in a bucket is read from a copy on this machine, which goes with the process or, killed, with the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from vector_tables import vector_table

from sluice.storage import Location

pytest_plugins = ["servers"]

READ = """
import os, signal, sys
from sluice.storage import Location
from sluice.store.table import Table
print(Table(Location(sys.argv[1])).vectors("embedding")[2].shape, flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_copy_of_a_table_goes(s3: str, tmp_path: Path) -> None:
    vector_table(tmp_path / "table", np.ones((3, 4), np.float32))
    for file in (tmp_path / "table").iterdir():
        Location(f"{s3}/table/{file.name}").upload(file)
    room = tmp_path / "room"
    room.mkdir()

    def read(how: str) -> int:
        command = [sys.executable, "-W", "error", "-c", READ, f"{s3}/table", how]
        done = subprocess.run(
            command, env={**os.environ, "TMPDIR": str(room)}, text=True, capture_output=True, check=False
        )
        assert done.stdout == "(3, 4)\n", done.stderr
        return done.returncode

    assert read("killed") == -signal.SIGKILL
    assert [path.name.rpartition("-")[0] for path in room.iterdir()] == ["sluice-table"]
    assert read("well") == 0
    assert not list(room.iterdir())
