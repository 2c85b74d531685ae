"""Servers on loopback that stand in for object stores and (misbehaving) web servers; a pytest plugin.

Use with `pytest_plugins = ["servers"]` at the top of a test module, then ask for `s3` or `web`.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

_MOTO = """
import logging, os, sys
os.environ["MOTO_S3_DEFAULT_MAX_KEYS"] = "100"  # small pages, so that tests of paging are cheap
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until the tests end, however they end
server.stop()
"""


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """The URL of an S3 server on loopback that lives as long as the test session."""
    command = [sys.executable, "-W", "ignore", "-c", _MOTO]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate(input="", timeout=30)


@pytest.fixture
def s3(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh, empty `s3://bucket-…`; the environment holds endpoint and credentials for it."""
    for name, value in {
        "AWS_ENDPOINT_URL": moto_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    urllib.request.urlopen(urllib.request.Request(f"{moto_endpoint}/{bucket}", method="PUT")).close()
    return f"s3://{bucket}"


class Web(ThreadingHTTPServer):
    """A web server that serves `files` by path and misbehaves as `behaviour` says for a path.

    Behaviours: `ignore_range`, `wrong_range` (another range than asked for), `unlabelled_range` (206 without
    Content-Range), `truncate` (half the body), `drop` (the connection closes before any body), `no_length`,
    `forbid`, and `fail:N` (500 for the first N requests). `hits` counts requests by path.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.behaviour: dict[str, str] = {}
        self.hits: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        web, how = self.server, self.server.behaviour.get(self.path, "")
        web.hits[self.path] += 1
        if self.path not in web.files:
            self._answer(404, b"", {})
        elif how == "forbid":
            self._answer(403, b"", {})
        elif how.startswith("fail:") and web.hits[self.path] <= int(how[5:]):
            self._answer(500, b"", {})
        else:
            self._file(web.files[self.path], how)

    def _file(self, body: bytes, how: str) -> None:
        asked = self.headers.get("Range")
        if asked is None or how == "ignore_range":
            self._answer(200, body, {}, how)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(body)) + 1, len(body))
        if start >= len(body):
            self._answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            return
        if how == "wrong_range":
            start, end = start + 1, end + 1
        label = {"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"}
        self._answer(206, body[start:end], {} if how == "unlabelled_range" else label, how)

    def _answer(self, code: int, body: bytes, headers: dict[str, str], how: str = "") -> None:
        self.send_response(code)
        if how != "no_length":
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if how in ("truncate", "drop", "no_length"):
            self.close_connection = True
        if self.command != "HEAD" and how != "drop":
            self.wfile.write(body[: len(body) // 2] if how == "truncate" else body)


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server on loopback whose files and misbehaviour the test sets."""
    server = Web()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
