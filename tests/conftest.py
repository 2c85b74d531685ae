"""Shared fixtures: where the real inputs lie, and the switch that makes their absence a failure."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from caption_server import Captioner

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # a shell's `make test &`; what tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real inputs: $SLUICE_TEST_DATA, else ../shared/data beside the repo."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("SLUICE_TEST_DATA", default))
    if not (path / "MANIFEST.json").exists():
        message = f"real test data not found at {path}; set SLUICE_TEST_DATA"
        if os.environ.get("SLUICE_REQUIRE_TEST_DATA"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Gives the folder of a small model by the name of its maker in `tiny_models`; each is made once."""
    import tiny_models

    folder = tmp_path_factory.mktemp("tiny")
    return cache(lambda kind: getattr(tiny_models, kind)(folder / kind))


@pytest.fixture
def captioner() -> Iterator[Captioner]:
    """A captioning endpoint on loopback whose behaviour the test sets."""
    import caption_server

    with caption_server.serving() as server:
        yield server
