"""A web server on loopback whose every answer the test writes: status, header, body, and how slowly it comes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """What is sent: `length` states another Content-Length (None: none), `drip_s` pauses after each byte."""

    body: bytes = b""
    status: int = 200
    header: Sequence[tuple[str, str]] = ()
    length: int | None = -1
    drip_s: float = 0.0


class PictureServer(ThreadingHTTPServer):
    """Answers by path; a list of answers is given one by one, the last one ever after. Counts requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.hits: Counter[str] = Counter()
        self.seen: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PictureServer

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        server = self.server
        server.hits[self.path] += 1
        server.seen.append(dict(self.headers))
        found = server.answers.get(self.path, Answer(status=404))
        answer = found if isinstance(found, Answer) else found[min(server.hits[self.path], len(found)) - 1]
        self.send_response(answer.status)
        if answer.length is not None:
            self.send_header("Content-Length", str(len(answer.body) if answer.length < 0 else answer.length))
        for name, value in answer.header:
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if not answer.drip_s:
            self.wfile.write(answer.body)
            return
        for byte in answer.body:
            self.wfile.write(bytes([byte]))
            time.sleep(answer.drip_s)


@contextmanager
def serving() -> Iterator[PictureServer]:
    """A server while the block lasts."""
    server = PictureServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
