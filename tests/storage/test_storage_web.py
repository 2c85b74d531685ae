"""Web servers that misbehave: right bytes or an error, never wrong bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sluice.errors import NotFoundError, StorageError
from sluice.storage import Location
from sluice.storage.connect import Patience
from sluice.storage.remote import WebFiles

if TYPE_CHECKING:
    from servers import Web

pytest_plugins = ["servers"]

DATA = bytes(range(251)) * 2000
# One retry, quickly: the point is what happens when retries are used up.
HASTY = WebFiles(Patience(connect_s=5, read_s=10, retries=1, backoff_s=0.01, backoff_max_s=0.02, total_s=20))


def test_a_good_server(web: Web) -> None:
    web.files["/d/f.jpg"] = DATA
    location = Location(f"{web.url}/d/f.jpg")
    assert location.read() == DATA
    assert location.read_range(1000, 50) == DATA[1000:1050]
    assert location.read_ranges([(400_000, 9), (5, 3)]) == [DATA[400_000:400_009], DATA[5:8]]
    assert b"".join(location.stream(1000, start=77)) == DATA[77:]
    assert list(location.stream(start=len(DATA))) == []
    with location.open() as file:
        file.seek(100_000)
        assert file.read(11) == DATA[100_000:100_011]
    entry = location.stat()
    assert entry is not None
    assert (entry.path, entry.size, entry.mtime_ns, entry.etag) == ("f.jpg", len(DATA), None, None)
    assert location.exists()


@pytest.mark.parametrize("path", ["/a%20b.jpg?sig=1%2F2&x=y", "/%E6%97%A5%2Fx", "/d//e/~f(1)", "/q?", "/"])
def test_urls_arrive_as_they_were_written(web: Web, path: str) -> None:
    web.files[path.removesuffix("?")] = b"here"
    assert Location(web.url + path).read() == b"here"


def test_absent_and_forbidden(web: Web) -> None:
    absent = Location(f"{web.url}/absent")
    assert absent.stat() is None
    assert not absent.exists()
    with pytest.raises(NotFoundError):
        absent.read()
    web.files["/no"], web.behaviour["/no"] = DATA, "forbid"
    with pytest.raises(StorageError, match="access denied"):
        Location(f"{web.url}/no").read()


def test_a_server_that_ignores_ranges_is_found_out(web: Web) -> None:
    web.files["/f"], web.behaviour["/f"] = DATA, "ignore_range"
    location = Location(f"{web.url}/f")
    reads: list[Callable[[], object]] = [
        lambda: location.read_range(10, 5),
        lambda: location.read_range(0, 5),
        lambda: location.read_ranges([(10, 5)]),
        lambda: list(location.stream(start=10)),
        lambda: location.open().read(5),
    ]
    for read in reads:
        with pytest.raises(StorageError, match="ignores ranges"):
            read()
    assert location.read() == DATA


@pytest.mark.parametrize("how", ["wrong_range", "unlabelled_range"])
def test_a_server_that_sends_another_range_is_found_out(web: Web, how: str) -> None:
    web.files["/f"], web.behaviour["/f"] = DATA, how
    with pytest.raises(StorageError):
        HASTY.read_range(f"{web.url}/f", 10, 5)
    with pytest.raises(StorageError):
        HASTY.read_ranges(f"{web.url}/f", [(10, 5)])


@pytest.mark.parametrize("how", ["truncate", "drop", "no_length"])
def test_cut_bodies_are_errors(web: Web, how: str) -> None:
    web.files["/f"], web.behaviour["/f"] = DATA, how
    reads: list[Callable[[str], object]] = [
        HASTY.read,
        lambda url: HASTY.read_range(url, 10, 500),
        lambda url: list(HASTY.stream(url, 1000, 0)),
    ]
    for read in reads:
        with pytest.raises(StorageError):
            read(f"{web.url}/f")


def test_server_errors_are_tried_again(web: Web) -> None:
    web.files["/f"], web.behaviour["/f"] = DATA, "fail:1"
    assert HASTY.read(f"{web.url}/f") == DATA
    assert web.hits["/f"] == 2
    web.files["/g"], web.behaviour["/g"] = DATA, "fail:99"
    with pytest.raises(StorageError, match="500"):
        HASTY.read(f"{web.url}/g")
    assert web.hits["/g"] == 2


def test_nothing_is_listed_or_written(web: Web) -> None:
    location = Location(f"{web.url}/d")
    with pytest.raises(StorageError, match="cannot list"):
        location.list()
    acts: list[Callable[[], object]] = [
        lambda: location.write(b""), location.writer, location.delete, location.delete_tree,
        location.make_dirs, location.is_writable, lambda: location.upload(__file__),  # type: ignore[arg-type]
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(StorageError, match="read only"):
            act()
