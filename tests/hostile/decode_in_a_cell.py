"""Decodes the files named on the command line under limits of memory and time; prints one JSON line each."""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path

from sluice.codec import decode
from sluice.errors import LimitError, UnreadableError

MEMORY_BYTES = 1 << 31
SECONDS_A_FILE = 20


def outcome(data: bytes) -> dict[str, str]:
    try:
        decode(data)
    except LimitError:
        return {"outcome": "bomb"}
    except UnreadableError as error:
        return {"outcome": "failed", "reason": error.reason}
    return {"outcome": "ok"}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for name in sys.argv[1:]:
        signal.alarm(SECONDS_A_FILE)
        line = json.dumps({"file": Path(name).name, **outcome(Path(name).read_bytes())})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
