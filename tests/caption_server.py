"""A captioning endpoint on loopback that speaks OpenAI's protocol, misbehaves on request, and counts what is asked.

Tests ask for the fixture `captioner`. Run as a script it serves until its standard input closes:
`python caption_server.py log.txt [seconds]` prints its port and writes one line a request, the digest of the
picture, before it answers.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import xxhash
from PIL import Image

Answer = tuple[int, dict[str, str], bytes]


def completion(text: str | None, finish: str = "stop", **message: Any) -> Answer:
    """A good reply of that text: 100 tokens in, a token a word out."""
    usage = {"prompt_tokens": 100, "completion_tokens": len((text or "").split())}
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return 200, {}, json.dumps({"choices": [choice], "usage": usage}).encode()


def status(code: int, said: str = "no", **headers: str) -> Answer:
    """An error of that status."""
    return code, {name.replace("_", "-"): value for name, value in headers.items()}, said.encode()


def described(picture: bytes) -> str:
    """A caption that depends on the picture alone: its size and mean colour."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    red, green, blue = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[misc]
    return (
        f"A picture of {image.width} by {image.height} pixels with {red} red, {green} green and {blue} blue."
    )


def usual(body: Any, picture: bytes) -> Answer:
    """What a willing model says: to questions no, to a choice of labels the last; else it describes or repeats."""
    asked = text_in(body)
    if "JSON object" in asked:
        names = [line.partition(":")[0] for line in asked.splitlines() if line.endswith("?")]
        return completion(json.dumps(dict.fromkeys(names, "no")))
    if "labels below" in asked:
        return completion(asked.splitlines()[-1])
    return completion(described(picture) if picture else f"Said anew: {asked[-200:]}")


class Captioner(ThreadingHTTPServer):
    """Answers `POST /v1/chat/completions` by `behave(body, picture)`; None breaks the connection off.

    `bodies` and `headers` hold what was asked, `most_at_once` how many requests were under way together, and
    `at_s` when each came.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behave: Callable[[Any, bytes], Answer | None] = usual
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.at_s: list[float] = []
        self.most_at_once = self._now = 0
        self._count = threading.Lock()

    @property
    def url(self) -> str:
        """The API's base."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def begin(self, body: Any, headers: dict[str, str]) -> None:
        """Note a request."""
        with self._count:
            self.bodies.append(body)
            self.headers.append(headers)
            self.at_s.append(time.monotonic())
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)

    def end(self) -> None:
        """One less under way."""
        with self._count:
            self._now -= 1

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Captioner

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.begin(body, dict(self.headers))
        try:
            known = self.path == "/v1/chat/completions"
            answer = self.server.behave(body, picture_in(body)) if known else status(404, "no such path")
        finally:
            self.server.end()
        if answer is None:
            self.close_connection = True
            return
        code, headers, data = answer
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def picture_in(body: Any) -> bytes:
    """The first picture of a request; nothing where it has none."""
    return next(iter(pictures_in(body)), b"")


def pictures_in(body: Any) -> list[bytes]:
    """The pictures of a request, in order."""
    content = body["messages"][0]["content"]
    urls = [part["image_url"]["url"] for part in content if isinstance(part, dict) and "image_url" in part]
    return [base64.b64decode(url.partition("base64,")[2]) for url in urls]


def text_in(body: Any) -> str:
    """The text of a request."""
    content = body["messages"][0]["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


@contextmanager
def serving() -> Iterator[Captioner]:
    """A captioning endpoint that ends with the block."""
    server = Captioner()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@cache
def standing() -> str:
    """The base URL of one that stands until the process ends."""
    server = Captioner()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.url


def main(log: str, delay_s: str = "0") -> None:
    """Serve until standard input closes; each request is logged before it is answered."""
    server, lock = Captioner(), threading.Lock()

    def behave(_: Any, picture: bytes) -> Answer:
        with lock, Path(log).open("a") as file:
            file.write(xxhash.xxh3_128_hexdigest(picture) + "\n")
        time.sleep(float(delay_s))
        return completion(described(picture))

    server.behave = behave
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)  # noqa: T201 - to the test
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
