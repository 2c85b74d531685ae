"""Source, store and output on an object store: the bytes of a local run, through kills and a faulty network."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from whole_runs import Command, assert_gone, contents, results, tar_source

from processes import until
from sluice.storage import Location

pytest_plugins = ["servers"]

SHARDS, SAMPLES = 8, 20

Fault = Callable[[int, str], str]
"""What happens to the n-th request, of that method."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tar_source(tmp_path_factory.mktemp("source") / "in", SHARDS, SAMPLES)


@pytest.fixture
def remote(s3: str, source: Path, tmp_path: Path) -> Command:
    for shard in source.iterdir():
        Location(f"{s3}/in/{shard.name}").upload(shard)
    return Command(tmp_path, f"{s3}/in", f"{s3}/out", f"{s3}/store")


def shards_of(url: str) -> dict[str, str]:
    """The shards and the selection: what does not name the places of the run."""
    return {name: digest for name, digest in contents(url).items() if name.endswith((".tar", ".parquet"))}


def put_away(command: Command) -> None:
    for url in (command.output, command.store):
        Location(url).delete_tree()


def objects(command: Command) -> list[str]:
    """What there is of output and store."""
    return [
        f"{kind}/{entry.path}"
        for kind, url in (("out", command.output), ("store", command.store))
        for entry in Location(url).list()
    ]


def step(names: list[str]) -> str:
    """How far a run has come, by what it has left."""
    if "out/_sluice/packing.parquet" in names:
        return "writing"
    done = sum(name.endswith("/index.json") for name in names)
    if done == 2:
        return "deciding"
    return "measuring again" if done else "measuring"


def test_everything_on_s3_gives_the_bytes_of_a_local_run(
    remote: Command, source: Path, tmp_path: Path
) -> None:
    local = replace(remote, source=str(source), output=str(tmp_path / "out"), store=str(tmp_path / "store"))
    summary = json.loads(remote.finish())
    assert summary["read"] == SHARDS * SAMPLES
    local.finish()
    found = shards_of(remote.output)
    assert {name: digest for name, digest in found.items() if "_sluice" not in name} == {
        name: digest for name, digest in shards_of(local.output).items() if "_sluice" not in name
    }
    assert sum(name.endswith(".tar") for name in found) == summary["shards"] > 5
    again = json.loads(remote.finish())
    assert {s["name"]: s["items"] for s in again["steps"]}["measure"] == 0
    assert shards_of(remote.output) == found


def killed_at(command: Command, count: int, delay_s: float) -> str:
    """Start a run and kill it when there are so many objects; the step it was in."""
    driver = command.start()
    assert until(lambda: len(objects(command)) >= count or driver.poll() is not None, 60)
    time.sleep(delay_s)
    assert driver.poll() is None, driver.communicate()
    command.kill(driver)
    return step(objects(command))


@pytest.mark.slow
def test_killed_on_s3_a_run_ends_in_the_same_bytes(remote: Command) -> None:
    remote.finish()
    expected = results(remote.output), contents(remote.store)
    total = len(objects(remote))
    put_away(remote)
    chance = random.Random(3)
    landed: Counter[str] = Counter()
    for count in sorted(chance.sample(range(1, total - 8), 5)):
        landed[killed_at(remote, count, chance.uniform(0, 0.05))] += 1
    remote.finish()
    print(f"kills on S3: {dict(landed)}")  # noqa: T201
    assert len(landed) >= 2
    assert (results(remote.output), contents(remote.store)) == expected


class Network(ThreadingHTTPServer):
    """A proxy before an endpoint; `fault` says what happens to a request, "" for nothing."""

    daemon_threads = True

    def __init__(self, endpoint: str, fault: Fault) -> None:
        super().__init__(("127.0.0.1", 0), _Through)
        self.host, self.fault = endpoint.removeprefix("http://"), fault
        self.count = 0
        self.happened: Counter[str] = Counter()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def next_fault(self, method: str) -> str:
        with self.lock:
            self.count += 1
            fault = self.fault(self.count, method)
            self.happened[fault] += bool(fault)
            return fault

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that is lost is part of the tests."""


class _Through(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Network

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""

    def _any(self) -> None:
        fault = self.server.next_fault(self.command)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault == "lost request":
            self.close_connection = True
            return
        if fault.isdigit():
            code = "AccessDenied" if fault == "403" else "InternalError"
            self._reply(int(fault), [], f"<Error><Code>{code}</Code></Error>".encode())
            return
        link = http.client.HTTPConnection(self.server.host)
        try:
            link.request(self.command, self.path, body, dict(self.headers))
            answer = link.getresponse()
            data = answer.read()
        finally:
            link.close()
        if fault == "lost answer":  # what was asked for is done, but nobody learns of it
            self.close_connection = True
            return
        self._reply(answer.status, answer.getheaders(), data, fault)

    def _reply(self, status: int, headers: list[tuple[str, str]], data: bytes, fault: str = "") -> None:
        self.send_response_only(status)
        skipped = {"transfer-encoding", "connection", "content-length"}
        for name, value in headers:
            if name.lower() not in skipped:
                self.send_header(name, value)
        length = {n.lower(): v for n, v in headers}.get("content-length", str(len(data)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "slow":
            for start in range(0, len(data), 16 << 10):
                self.wfile.write(data[start : start + (16 << 10)])
                time.sleep(0.01)
        elif fault == "cut":
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # whatever the method
            return self._any
        raise AttributeError(name)


@pytest.fixture
def network(moto_endpoint: str) -> Iterator[Callable[[Fault], Network]]:
    started: list[tuple[Network, threading.Thread]] = []

    def start(fault: Fault) -> Network:
        server = Network(moto_endpoint, fault)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


FAULTS = ("500", "503", "slow", "lost request", "lost answer", "cut")


@pytest.mark.slow
def test_a_faulty_network_changes_nothing(remote: Command, network: Callable[[Fault], Network]) -> None:
    """Every seventh request meets a server error, a slow body, a lost connection or half an answer."""
    remote.finish()
    expected = results(remote.output), contents(remote.store)
    put_away(remote)
    faulty = network(lambda n, _: FAULTS[n // 7 % len(FAULTS)] if n % 7 == 0 else "")
    troubled = replace(remote, env={"AWS_ENDPOINT_URL": faulty.url})
    driver = troubled.start()
    out, err = driver.communicate(timeout=120)
    assert_gone(driver)
    print(f"{faulty.count} requests, faults: {dict(faulty.happened)}; exit {driver.returncode}")  # noqa: T201
    assert set(faulty.happened) - {""} == set(FAULTS)
    if driver.returncode != 0:
        assert driver.returncode == 1, out + err
        assert json.loads(out)["fix"]
        assert "Traceback" not in out + err
        remote.finish()
    assert (results(remote.output), contents(remote.store)) == expected


@pytest.mark.slow
def test_a_server_that_goes_away_ends_the_run_and_blames_no_sample(
    remote: Command, network: Callable[[Fault], Network]
) -> None:
    remote.finish()
    expected = results(remote.output), contents(remote.store)
    put_away(remote)
    gone = network(lambda n, _: "500" if n > 60 else "")
    troubled = replace(remote, env={"AWS_ENDPOINT_URL": gone.url})
    driver = troubled.start()
    out, err = driver.communicate(timeout=120)
    assert_gone(driver)
    assert driver.returncode == 1, out + err
    message = json.loads(out)
    assert message["fix"]
    assert "Traceback" not in out + err
    remote.finish()
    assert (results(remote.output), contents(remote.store)) == expected


def test_a_bucket_that_may_not_be_written_is_an_error_before_any_work(
    remote: Command, network: Callable[[Fault], Network]
) -> None:
    guarded = network(lambda _, method: "403" if method == "PUT" else "")
    troubled = replace(remote, env={"AWS_ENDPOINT_URL": guarded.url})
    driver = troubled.start()
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 1, out + err
    assert "access denied" in json.loads(out)["error"]
    assert objects(remote) == []
