"""How bytes reach the cloud: the one module that imports httpx.

Each request in flight has a one-connection httpx transport of its own, taken from a stack and given back after a
whole answer; after anything else it is thrown away. httpx's own pool looks at every connection it holds for every
request, so its cost grows with them, and it loses slots when a caller is cancelled. With a stack the cost is flat
and a request that did not end well costs its connection and nothing else.
"""

import platform
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cache
from typing import Final, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import anyio
import attrs
import httpx

from ._calling import Async, Mode, Sync
from ._waiting import current_loop
from .errors import CallTimedOut, ClientClosed, ConnectFailed, TransportFailed

__all__ = ["AsyncTransport", "BlockingTransport", "Reply", "Request", "Transport", "user_agent"]

LARGEST_REPLY: Final = 32 * 1024 * 1024
"""Bytes of a reply, after decompression, that are read at most."""

_KEEP_ALIVE: Final = 30.0
# httpx raises these before the first byte of a request has left.
_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)


@attrs.frozen(kw_only=True)
class Request:
    """One request, complete: nothing is added to it but what the connection needs."""

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    content: bytes = attrs.field(default=b"", repr=False)
    timeout: float = 30.0
    """Seconds until the whole reply must be here."""


@attrs.frozen(kw_only=True)
class Reply:
    """One whole reply; header names are lower-case."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = attrs.field(default=b"", repr=False)


class Transport(Protocol[Mode]):
    """Carries one request to its reply."""

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        ...

    async def send(self, request: Request) -> Reply:
        """Return the reply, whatever its status.

        Raises ConnectFailed when nothing was sent, CallTimedOut and TransportFailed when the request may have had
        its effect.
        """
        ...

    async def close(self) -> None:
        """Close what is idle; what is in flight ends with its request."""
        ...


class BlockingTransport:
    """Requests block the calling thread. Safe for many threads, and after a fork."""

    def __init__(self, *, max_connections: int = 100, connect_timeout: float = 5.0) -> None:
        self._slots = threading.BoundedSemaphore(max_connections)
        self._connect_timeout = connect_timeout
        self._idle: list[httpx.HTTPTransport] = []
        self._pid = _pid()
        self._closed = False

    @property
    def mode(self) -> type[Sync]:
        """`Sync`."""
        return Sync

    async def send(self, request: Request) -> Reply:
        """Return the reply of *request*."""
        if self._closed:
            raise ClientClosed
        ends = time.monotonic() + request.timeout
        if not self._slots.acquire(timeout=request.timeout):
            raise _no_slot(request)
        try:
            return self._send(request, ends)
        finally:
            self._slots.release()

    def _send(self, request: Request, ends: float) -> Reply:
        wire = self._take(request.url)
        try:
            with _in_our_words(request):
                response = wire.handle_request(_dress(request, ends, self._connect_timeout))
                reply = _reply(response, b"".join(_bounded(response.iter_bytes(), request, ends)))
                response.close()
        except BaseException:
            wire.close()
            raise
        if self._closed:
            wire.close()
        else:
            self._idle.append(wire)
        return reply

    def _take(self, url: str) -> httpx.HTTPTransport:
        if self._pid != _pid():
            # A forked child shares its parent's sockets; two processes on one connection mix their replies.
            self._pid, self._idle = _pid(), []
        try:
            return self._idle.pop()
        except IndexError:
            return httpx.HTTPTransport(verify=_tls(url), limits=_ONE, proxy=_proxy(url))

    async def close(self) -> None:
        """Close the idle connections."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


@attrs.define
class _Loop:
    """What belongs to one event loop: its connections cannot be used from another."""

    slots: anyio.Semaphore
    idle: list[httpx.AsyncHTTPTransport] = attrs.field(factory=list)


class AsyncTransport:
    """Requests suspend the calling task, on asyncio or trio; one transport serves several loops in turn."""

    def __init__(self, *, max_connections: int = 100, connect_timeout: float = 5.0) -> None:
        self._most = max_connections
        self._connect_timeout = connect_timeout
        self._loops: WeakKeyDictionary[object, _Loop] = WeakKeyDictionary()
        self._closed = False

    @property
    def mode(self) -> type[Async]:
        """`Async`."""
        return Async

    async def send(self, request: Request) -> Reply:
        """Return the reply of *request*."""
        if self._closed:
            raise ClientClosed
        loop = self._here()
        ends = time.monotonic() + request.timeout
        waiting = True
        with anyio.move_on_after(request.timeout):
            async with loop.slots:
                waiting = False
                return await self._send(loop, request, ends)
        if waiting:
            raise _no_slot(request)
        raise CallTimedOut(f"no whole reply within {request.timeout:g} s")

    async def _send(self, loop: _Loop, request: Request, ends: float) -> Reply:
        wire = loop.idle.pop() if loop.idle else self._make(request.url)
        whole = False
        try:
            with _in_our_words(request):
                response = await wire.handle_async_request(
                    _dress(request, ends, self._connect_timeout)
                )
                body = [part async for part in _abounded(response.aiter_bytes(), request)]
                await response.aclose()
            whole = not self._closed
            return _reply(response, b"".join(body))
        finally:
            if whole:
                loop.idle.append(wire)
            else:
                await _throw_away(wire)

    def _make(self, url: str) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(verify=_tls(url), limits=_ONE, proxy=_proxy(url))

    def _here(self) -> _Loop:
        key = current_loop()
        found = self._loops.get(key)
        if found is None:
            found = self._loops[key] = _Loop(anyio.Semaphore(self._most))
        return found

    async def close(self) -> None:
        """Close the idle connections of the running loop; those of a loop that has ended went with it."""
        self._closed = True
        idle = self._here().idle
        while idle:
            await _throw_away(idle.pop())


async def _throw_away(wire: httpx.AsyncHTTPTransport) -> None:
    # Shielded, for a cancelled caller would otherwise leave the socket to the garbage collector; bounded, for a peer that
    # does not answer the end of TLS must not hold anybody up.
    with anyio.move_on_after(1.0, shield=True):
        await wire.aclose()


# -- what both share ------------------------------------------------------------------------------

_ONE: Final = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEP_ALIVE
)


def _pid() -> int:
    import os

    return os.getpid()


@cache
def _trust() -> ssl.SSLContext:
    # Reading the trust store costs 18 ms: once per process, for all clients.
    return httpx.create_ssl_context()


@cache
def _no_trust() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _tls(url: str) -> ssl.SSLContext:
    return _trust() if url.startswith("https:") else _no_trust()


def _proxy(url: str) -> str | None:
    # Imported here, for it is heavy and only the first connection needs it.
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _dress(request: Request, ends: float, connect_timeout: float) -> httpx.Request:
    left = max(0.001, ends - time.monotonic())
    timeout = {"connect": min(connect_timeout, left), "read": left, "write": left, "pool": left}
    return httpx.Request(
        request.method,
        request.url,
        headers=dict(request.headers),
        content=request.content or None,
        extensions={"timeout": timeout},
    )


def _reply(response: httpx.Response, body: bytes) -> Reply:
    return Reply(status=response.status_code, headers=dict(response.headers), body=body)


def _bounded(parts: Iterator[bytes], request: Request, ends: float) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size = _grown(size, part)
        if time.monotonic() > ends:
            # Each read has its own timeout, so a peer that drips bytes would never meet it.
            raise CallTimedOut(f"no whole reply within {request.timeout:g} s")
        yield part


async def _abounded(parts: AsyncIterator[bytes], request: Request) -> AsyncIterator[bytes]:
    size = 0
    async for part in parts:
        size = _grown(size, part)
        yield part


def _grown(size: int, part: bytes) -> int:
    size += len(part)
    if size > LARGEST_REPLY:
        raise TransportFailed(f"the reply is larger than {LARGEST_REPLY // 2**20} MB")
    return size


def _no_slot(request: Request) -> ConnectFailed:
    return ConnectFailed(f"no free connection within {request.timeout:g} s; nothing was sent")


class _in_our_words:  # noqa: N801 - a context manager, named as it reads
    """Raise what httpx raises as an error of ours, with the original as its cause."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _UNSENT):
            raise ConnectFailed(f"no connection: {_said(error)}") from error
        if isinstance(error, httpx.TimeoutException):
            raise CallTimedOut(f"no whole reply within {self._request.timeout:g} s") from error
        if isinstance(error, httpx.TransportError | httpx.DecodingError | httpx.StreamError):
            raise TransportFailed(f"the connection broke: {_said(error)}") from error


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def user_agent(version: str, application: str = "") -> str:
    """Return the User-Agent: who calls, with which version, on which Python."""
    own = f"novitai-sdk/{version} python/{platform.python_version()}"
    return f"{application} {own}" if application else own
