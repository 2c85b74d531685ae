"""Downloads from addresses that data names, not people: within limits, and never from inside a network."""

from __future__ import annotations

import http.client
import ipaddress
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from functools import cache
from urllib.parse import quote, urljoin, urlsplit

from sluice.errors import SampleError

MOST_REDIRECTIONS = 5
"""Redirections that are followed; RFC 9110 leaves the number to clients, curl's users mostly say 5."""

BACK_OFF_S, LONGEST_PAUSE_S = 0.5, 30.0
"""The first pause before another try, doubled each time; no pause is longer, whatever `Retry-After` asks."""

_TRIED_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_BLOCK = 64 << 10
_HEAD = 64  # bytes by which a kind of file is told
_HOST = re.compile(r"[\w.-]+|[\da-f:.]+", re.ASCII | re.I)  # a name, or an address of IPv6
_PATH_SAFE = "/%:@!$&'()*+,;=~-._[]?"
_EMBEDS_IPV4 = ipaddress.ip_network("64:ff9b::/96")  # NAT64 (RFC 6052)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class DownloadError(SampleError):
    """Nothing was downloaded, for this reason; `passing` says that another try may meet something else."""

    def __init__(self, reason: str, what: str = "", *, passing: bool = False) -> None:
        super().__init__(reason, what)
        self.passing = passing
        self.pause_s = 0.0


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The bytes at an address, and the address that gave them in the end, after redirections."""

    data: bytes
    url: str


@dataclass(frozen=True)
class Downloader:
    """Gets the bytes at http(s) addresses, one at a time.

    `most_bytes` bounds a body, `timeout_s` one try with all its redirections, from looking up the name to the
    last byte, however slowly a server drips. What may pass (no connection, 429, 5xx, a time-out) is tried `retries`
    more times with exponential back-off, `Retry-After` heeded. Addresses that are not public (loopback, private,
    link-local, …) are refused unless `allow_private`: the name is looked up once, and the connection goes to
    the very address that was found public, after each redirection too. No proxy of the environment is used.

    `accepts` is shown the first bytes of a body, `allows` the header of each good answer and redirection; each
    returns a reason to refuse, or "". `waiting` is told before each try and pause.
    """

    user_agent: str
    most_bytes: int
    timeout_s: float
    retries: int = 2
    allow_private: bool = False
    accepts: Callable[[bytes], str] = lambda head: ""
    allows: Callable[[Message], str] = lambda header: ""
    waiting: Callable[[], None] = lambda: None

    def get(self, url: str) -> Downloaded:
        """The bytes at an address. Raises DownloadError, after all retries where those may help."""
        for attempt in range(self.retries + 1):
            self.waiting()
            try:
                return self._once(url)
            except DownloadError as error:
                if not error.passing or attempt == self.retries:
                    raise
                own = BACK_OFF_S * 2**attempt * random.uniform(0.5, 1)
                self.waiting()
                time.sleep(min(LONGEST_PAUSE_S, max(own, error.pause_s)))
        raise AssertionError("a last try returns or raises")

    def _once(self, url: str) -> Downloaded:
        deadline = time.monotonic() + self.timeout_s
        for _ in range(MOST_REDIRECTIONS + 1):
            target = _Target.of(url)
            with _Connection(target, self._resolved(target, deadline), deadline) as connection:
                answer = connection.ask(self.user_agent)
                following = self._judged(answer, url)
                if not following:
                    return Downloaded(self._body(answer, connection), url)
            url = following
        raise DownloadError(
            "too many redirections", f"more than {MOST_REDIRECTIONS}, the last to {url[:200]!r}"
        )

    def _resolved(self, target: _Target, deadline: float) -> list[Address]:
        found = _looked_up(target, deadline)
        allowed = [a for a in found if self.allow_private or is_public(a)]
        if not allowed:
            raise DownloadError("private address", f"{target.host} is {found[0]}")
        return allowed

    def _judged(self, answer: http.client.HTTPResponse, url: str) -> str:
        """Where a redirection leads, "" where the body is to be read; DownloadError for any other answer."""
        place = (answer.headers.get("Location") or "").strip() if answer.status in _REDIRECTIONS else ""
        if answer.status != 200 and not place:
            error = DownloadError(
                f"HTTP {answer.status}", answer.reason[:200], passing=answer.status in _TRIED_AGAIN
            )
            error.pause_s = _seconds(answer.headers.get("Retry-After"))
            raise error
        refused = self.allows(answer.headers)
        if refused:
            raise DownloadError(refused, f"{url[:200]!r} says so in its header")
        return _joined(url, place) if place else ""

    def _body(self, answer: http.client.HTTPResponse, connection: _Connection) -> bytes:
        stated = answer.length  # what Content-Length says
        if stated is not None and stated > self.most_bytes:
            raise DownloadError("too large", f"{stated:,} bytes are more than {self.most_bytes:,}")
        parts, size, told = [], 0, False
        while part := connection.read(answer):
            parts.append(part)
            size += len(part)
            if size > self.most_bytes:
                raise DownloadError("too large", f"more than {self.most_bytes:,} bytes")
            if not told and size >= _HEAD:
                told = self._tell(b"".join(parts))
        if stated is not None and size < stated:
            raise DownloadError("broken off", f"{size:,} of {stated:,} bytes came", passing=True)
        data = b"".join(parts)
        if not told:
            self._tell(data)
        return data

    def _tell(self, data: bytes) -> bool:
        refused = self.accepts(data[:_HEAD])
        if refused:
            raise DownloadError(refused, f"it begins with {data[:16]!r}")
        return True


@dataclass(frozen=True, slots=True)
class _Target:
    """An address taken apart: where to connect to and what to ask for."""

    encrypted: bool
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> _Target:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host = host if ":" in host else host.encode("idna").decode("ascii")
        except ValueError as error:  # UnicodeError is one
            raise DownloadError("bad address", f"{url[:200]!r}: {error}") from error
        if parts.scheme not in ("http", "https"):
            raise DownloadError("bad address", f"{url[:200]!r} is not http or https")
        if not _HOST.fullmatch(host):
            raise DownloadError("bad address", f"{url[:200]!r} names no host")
        encrypted = parts.scheme == "https"
        path = quote(parts.path or "/", _PATH_SAFE) + (
            f"?{quote(parts.query, _PATH_SAFE)}" if parts.query else ""
        )
        return cls(encrypted, host, port or (443 if encrypted else 80), path)


class _Connection:
    """One connection to one of the addresses that a name stands for; cut off at the deadline by a watchman.

    Time-outs of a socket hold for one call each, so that a server that drips bytes would never meet them.
    """

    def __init__(self, target: _Target, addresses: list[Address], deadline: float) -> None:
        self._target, self._addresses, self._deadline = target, addresses, deadline
        self._socket: socket.socket | None = None
        self._answer: http.client.HTTPResponse | None = None
        self._http = (
            http.client.HTTPSConnection(target.host, target.port, context=_encryption())
            if target.encrypted
            else http.client.HTTPConnection(target.host, target.port)
        )
        self._watchman = threading.Timer(max(0.0, deadline - time.monotonic()), self._cut)
        self._watchman.daemon = True

    def __enter__(self) -> _Connection:
        self._watchman.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watchman.cancel()
        if self._answer is not None:
            self._answer.close()
        self._http.close()
        if self._socket is not None:
            self._socket.close()

    def ask(self, user_agent: str) -> http.client.HTTPResponse:
        """The answer to a GET, up to the end of its header."""
        header = {"User-Agent": user_agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
        try:
            self._http.sock = self._connected()
            self._http.request("GET", self._target.path, headers={**header, "Connection": "close"})
            self._answer = self._http.getresponse()
            return self._answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._trouble(error) from error

    def read(self, answer: http.client.HTTPResponse) -> bytes:
        """Some bytes of the body, none at its end."""
        try:
            part = answer.read1(_BLOCK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._trouble(error) from error
        if time.monotonic() >= self._deadline:  # cut off, a body looks as if it ended
            raise self._trouble(TimeoutError())
        return part

    def _connected(self) -> socket.socket:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        last: OSError = OSError("no address")
        for address in self._addresses:
            try:
                self._socket = socket.create_connection((str(address), self._target.port), timeout=left)
                break
            except OSError as error:
                last = error
        else:
            raise last
        if self._target.encrypted:
            self._socket = _encryption().wrap_socket(self._socket, server_hostname=self._target.host)
        return self._socket

    def _cut(self) -> None:
        held = self._socket
        if held is not None:
            try:
                socket.socket.shutdown(held, socket.SHUT_RDWR)  # also of one that is encrypted, as it is
            except OSError:
                return  # it is closed already

    def _trouble(self, error: Exception) -> DownloadError:
        if isinstance(error, TimeoutError) or time.monotonic() >= self._deadline:
            return DownloadError("timed out", f"{self._target.host} took too long", passing=True)
        if isinstance(error, ssl.SSLCertVerificationError):
            return DownloadError("bad certificate", error.verify_message)
        reason = "no connection" if isinstance(error, OSError) else "bad answer"
        return DownloadError(reason, f"{type(error).__name__}: {error}"[:200], passing=True)


@cache
def _encryption() -> ssl.SSLContext:
    return ssl.create_default_context()


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet, also where it wraps one of another kind."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if address in _EMBEDS_IPV4:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(wrapped)
        if address.teredo is not None:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _joined(url: str, place: str) -> str:
    try:
        return urljoin(url, place)
    except ValueError as error:
        raise DownloadError("bad address", f"redirected to {place[:200]!r}") from error


def _looked_up(target: _Target, deadline: float) -> list[Address]:
    """The addresses of a host; looked up in a thread, since the system's call knows no time limit."""
    found: list[Address] = []
    trouble: list[OSError | ValueError] = []

    def look_up() -> None:
        try:
            for *_, place in socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM):
                found.append(ipaddress.ip_address(str(place[0]).partition("%")[0]))
        except (OSError, ValueError) as error:
            trouble.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if thread.is_alive():
        raise DownloadError("timed out", f"the name {target.host} was not found in time", passing=True)
    if trouble or not found:
        detail = f"{target.host}: {trouble[0] if trouble else 'no address'}"
        raise DownloadError("no such host", detail, passing=True)
    return list(dict.fromkeys(found))


def _seconds(value: str | None) -> float:
    """`Retry-After` in seconds where it is a number; a date is passed over."""
    try:
        seconds = float(value or 0)
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0
