"""Downloads: limits, refused addresses on every hop, retries of what may pass, and a memory of the rest."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from picture_server import Answer, PictureServer, serving
from sluice.errors import UnavailableError
from sluice.storage import Location, download, downloads
from sluice.storage.download import Downloader, DownloadError, is_public

INTRANET = Downloader("test", 10_000, 5.0, retries=0, allow_private=True)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureServer]:
    monkeypatch.setattr(download, "BACK_OFF_S", 0.01)
    with serving() as server:
        yield server


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    downloads.use(Location(tmp_path))
    yield tmp_path / "downloads"
    downloads.use(None)


def refused(downloader: Downloader, url: str) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        downloader.get(url)
    return caught.value


def test_gives_bytes_and_the_last_address(server: PictureServer) -> None:
    server.answers["/a%20b?x=1%2C2"] = Answer(status=302, header=[("Location", "/c")])
    server.answers["/c"] = Answer(b"hello")
    got = INTRANET.get(f"{server.url}/a b?x=1%2C2#part")
    assert (got.data, got.url) == (b"hello", f"{server.url}/c")
    assert server.seen[0]["User-Agent"] == "test"
    assert server.seen[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("body", [b"", b"x" * 10_000])
def test_any_size_up_to_the_limit(server: PictureServer, body: bytes) -> None:
    server.answers["/a"] = Answer(body)
    assert INTRANET.get(f"{server.url}/a").data == body


@pytest.mark.parametrize("length", [-1, None])
def test_too_large_whether_or_not_it_says_so(server: PictureServer, length: int | None) -> None:
    server.answers["/a"] = Answer(b"x" * 10_001, length=length)
    assert refused(INTRANET, f"{server.url}/a").reason == "too large"


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/a", "http://localhost:{port}/a"])
def test_loopback_is_refused_without_a_request(server: PictureServer, url: str) -> None:
    server.answers["/a"] = Answer(b"secret")
    error = refused(replace(INTRANET, allow_private=False), url.format(port=server.server_port))
    assert (error.reason, error.passing) == ("private address", False)
    assert not server.hits


PRIVATE = """127.0.0.1 127.8.8.8 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255
224.0.0.1 240.0.0.1 198.18.0.1 192.0.2.1 ::1 :: fe80::1 fc00::1 fd12::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.1.1.1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1:: 2002:a00:1:: 2001:db8::1 2001:0:4136:e378:8000:63bf:3fff:fdd2"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def names(monkeypatch: pytest.MonkeyPatch, known: dict[str, list[str]]) -> list[str]:
    """Names that a stand-in for the system's look-up knows, one address a call; the names that were looked up."""
    asked: list[str] = []

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        if host not in known:
            raise socket.gaierror("unknown")
        address = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(download.socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.parametrize(
    "place", ["http://inside.example/x", "http://169.254.169.254/latest", "//localhost/x"]
)
def test_a_redirection_inside_is_refused(
    server: PictureServer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    server.answers["/a"] = Answer(status=302, header=[("Location", place)])
    monkeypatch.setattr(download, "is_public", lambda address: str(address) == "127.0.0.1")  # as if it were
    known = {"127.0.0.1": ["127.0.0.1"], "inside.example": ["10.0.0.7"], "localhost": ["127.0.0.2"]}
    names(monkeypatch, {**known, "169.254.169.254": ["169.254.169.254"]})
    error = refused(replace(INTRANET, allow_private=False), f"{server.url}/a")
    assert error.reason == "private address"


def test_connects_to_the_address_that_was_checked(
    server: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is public when it is looked up and private a moment later (DNS rebinding) gains nothing."""
    connected: list[str] = []

    def connect(place: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(place[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(download.socket, "create_connection", connect)
    asked = names(monkeypatch, {"rebinds.example": ["93.184.216.34", "127.0.0.1"]})
    error = refused(replace(INTRANET, allow_private=False), "http://rebinds.example/a")
    assert (error.reason, connected, asked) == ("no connection", ["93.184.216.34"], ["rebinds.example"])


NO_ADDRESSES = (
    "file:///etc/passwd ftp://a.example/x gopher://a.example http:// http:///x //a/x x http://[::1 javascript:alert(1)"
    " http://a:99999/ http://a%20b/ http://" + "a" * 70 + ".example/"
)


@pytest.mark.parametrize("url", NO_ADDRESSES.split())
def test_addresses_that_are_none(url: str) -> None:
    error = refused(INTRANET, url)
    assert (error.reason, error.passing) == ("bad address", False)


def test_redirections_in_a_ring_end(server: PictureServer) -> None:
    server.answers["/a"] = Answer(status=301, header=[("Location", "/a")])
    assert refused(INTRANET, f"{server.url}/a").reason == "too many redirections"
    assert server.hits["/a"] == download.MOST_REDIRECTIONS + 1


def test_a_redirection_to_a_file_is_refused(server: PictureServer) -> None:
    server.answers["/a"] = Answer(status=302, header=[("Location", "file:///etc/passwd")])
    assert refused(INTRANET, f"{server.url}/a").reason == "bad address"


@pytest.mark.parametrize(
    ("status", "tries"), [(404, 1), (403, 1), (410, 1), (304, 1), (429, 3), (500, 3), (503, 3)]
)
def test_only_what_may_pass_is_tried_again(server: PictureServer, status: int, tries: int) -> None:
    server.answers["/a"] = Answer(status=status)
    error = refused(replace(INTRANET, retries=2), f"{server.url}/a")
    assert (error.reason, server.hits["/a"]) == (f"HTTP {status}", tries)
    assert error.passing == (tries > 1)


def test_another_try_may_succeed(server: PictureServer) -> None:
    server.answers["/a"] = [
        Answer(status=503, header=[("Retry-After", "0")]),
        Answer(b"xx", length=9),
        Answer(b"fine"),
    ]
    assert replace(INTRANET, retries=2).get(f"{server.url}/a").data == b"fine"


def test_retry_after_is_heeded_up_to_a_limit(server: PictureServer, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    server.answers["/a"] = [
        Answer(status=429, header=[("Retry-After", after)]) for after in ("7", "9999", "soon")
    ]
    refused(replace(INTRANET, retries=3), f"{server.url}/a")
    assert slept[:2] == [7.0, download.LONGEST_PAUSE_S]
    assert slept[2] < 1


def test_a_body_that_is_cut_short_is_no_body(server: PictureServer) -> None:
    server.answers["/a"] = Answer(b"half", length=8)
    error = refused(INTRANET, f"{server.url}/a")
    assert (error.reason, error.passing) == ("broken off", True)


@pytest.mark.parametrize("length", [-1, None])
def test_a_dripping_body_ends_in_time(server: PictureServer, length: int | None) -> None:
    server.answers["/a"] = Answer(b"x" * 200, length=length, drip_s=0.05)
    begun = time.monotonic()
    error = refused(replace(INTRANET, timeout_s=0.5), f"{server.url}/a")
    assert (error.reason, error.passing) == ("timed out", True)
    assert time.monotonic() - begun < 3


def test_a_dripping_header_ends_in_time() -> None:
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_drip, args=(listening,), daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/a"
        assert refused(replace(INTRANET, timeout_s=0.5), url).reason == "timed out"
    assert time.monotonic() - begun < 3


def _drip(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        try:
            for byte in b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            return


def test_a_name_that_is_not_found_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.socket, "getaddrinfo", lambda *_, **__: time.sleep(1) or [])
    assert refused(replace(INTRANET, timeout_s=0.2), "http://slow.example/").reason == "timed out"


def test_no_such_host_and_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert refused(INTRANET, f"http://127.0.0.1:{port}/").reason == "no connection"
    names(monkeypatch, {})
    error = refused(INTRANET, "http://nobody.example/")
    assert (error.reason, error.passing) == ("no such host", True)


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-x\r\n", b"HTTP/1.1 2xx\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200]
)
def test_what_is_no_http(said: bytes) -> None:
    def speak(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=speak, args=(listening,))
        thread.start()
        error = refused(INTRANET, f"http://127.0.0.1:{listening.getsockname()[1]}/a")
        thread.join()
    assert error.reason in ("bad answer", "no connection")


def test_the_first_bytes_decide_before_the_rest_comes(server: PictureServer) -> None:
    server.answers["/a"] = Answer(b"<html>" + b" " * 100, drip_s=0.02)
    picky = replace(INTRANET, accepts=lambda head: "not an image" if head.startswith(b"<") else "")
    begun = time.monotonic()
    assert refused(picky, f"{server.url}/a").reason == "not an image"
    assert time.monotonic() - begun < 1.9
    server.answers["/short"] = Answer(b"<a>")
    assert refused(picky, f"{server.url}/short").reason == "not an image"


def test_bytes_are_asked_for_once(server: PictureServer, kept: Path) -> None:
    server.answers["/a"] = server.answers["/b"] = Answer(b"same")
    for _ in range(2):
        for path in ("/a", "/b"):
            got = downloads.download(server.url + path, INTRANET, {})
            assert (got.data, got.sha256) == (b"same", hashlib.sha256(b"same").hexdigest())
    assert server.hits == {"/a": 1, "/b": 1}
    assert len([p for p in (kept / "contents").rglob("*") if p.is_file()]) == 1


def test_refusals_are_remembered_and_passing_troubles_are_not(server: PictureServer, kept: Path) -> None:
    server.answers["/busy"] = [Answer(status=503), Answer(b"free")]
    for _ in range(2):
        with pytest.raises(DownloadError, match="Not Found"):
            downloads.download(f"{server.url}/gone", INTRANET, {})
    with pytest.raises(DownloadError):
        downloads.download(f"{server.url}/busy", INTRANET, {})
    assert downloads.download(f"{server.url}/busy", INTRANET, {}).data == b"free"
    assert server.hits == {"/gone": 1, "/busy": 2}
    with pytest.raises(DownloadError):  # other limits are another question
        downloads.download(f"{server.url}/gone", INTRANET, {"max_bytes": 1})
    assert server.hits["/gone"] == 2


def test_what_was_damaged_on_disk_is_asked_for_again(server: PictureServer, kept: Path) -> None:
    server.answers["/a"] = Answer(b"good")
    downloads.download(f"{server.url}/a", INTRANET, {})
    (content,) = (p for p in (kept / "contents").rglob("*") if p.is_file())
    for damage in (b"bad!", None):
        content.unlink() if damage is None else content.write_bytes(damage)
        assert downloads.download(f"{server.url}/a", INTRANET, {}).data == b"good"
    (entry,) = (p for p in (kept / "answers").rglob("*.json"))
    entry.write_text("{")
    assert downloads.download(f"{server.url}/a", INTRANET, {}).data == b"good"
    assert server.hits["/a"] == 4
    assert json.loads(entry.read_text())["size_bytes"] == 4


def test_a_store_that_cannot_be_written_ends_the_run(server: PictureServer, tmp_path: Path) -> None:
    server.answers["/a"] = Answer(b"good")
    (tmp_path / "downloads").write_text("a file where the folder should be")
    downloads.use(Location(tmp_path))
    try:
        with pytest.raises(UnavailableError, match="cannot be kept"):
            downloads.download(f"{server.url}/a", INTRANET, {})
    finally:
        downloads.use(None)
