"""A stand-in for Hugging Face's hub on loopback; a pytest plugin."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Hub(ThreadingHTTPServer):
    """Serves `files` (by path) of one repository `name` at one commit; `lies` are files sent with other bytes.

    `revisions` counts which revision was asked for, `sent` how often each file was.
    """

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name, self.commit = name, "0123456789abcdef0123456789abcdef01234567"
        self.files: dict[str, bytes] = {}
        self.lies: dict[str, bytes] = {}
        self.revisions: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def tree(self) -> list[dict[str, object]]:
        """The listing, with digests of the large kinds of files as the hub gives them."""
        entries = []
        for path, data in self.files.items():
            entry: dict[str, object] = {"type": "file", "path": path, "size": len(data)}
            entry["oid"] = hashlib.sha1(data).hexdigest()
            if path.endswith((".safetensors", ".bin")):
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
            entries.append(entry)
        return entries


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server
        path = self.path.partition("?")[0]
        api, files = f"/api/models/{hub.name}/", f"/{hub.name}/resolve/{hub.commit}/"
        if path.startswith(api + "revision/"):
            hub.revisions[path.removeprefix(api + "revision/")] += 1
            self._json({"id": hub.name, "sha": hub.commit, "siblings": [], "tags": []})
        elif path == f"{api}tree/{hub.commit}":
            self._json(hub.tree())
        elif path.startswith(files) and path.removeprefix(files) in hub.files:
            self._file(path.removeprefix(files))
        else:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _file(self, name: str) -> None:
        data = self.server.files[name]
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": self.server.commit}
        if self.command == "GET":
            self.server.sent[name] += 1
        self._answer(200, self.server.lies.get(name, data), headers)

    def _json(self, document: object) -> None:
        self._answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _answer(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub that has the repository `acme/tiny`; the test fills it."""
    server = Hub("acme/tiny")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
