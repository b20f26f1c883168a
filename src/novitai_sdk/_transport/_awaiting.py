"""Requests of awaiting clients, on asyncio and trio."""

import select
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Hashable, Iterable
from contextlib import suppress
from socket import socket
from typing import Any, Final
from weakref import WeakKeyDictionary

import anyio
import attrs
import httpcore
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from .._calling import Async, drive
from .._loops import current_loop, has_ended
from ..errors import ClientClosed, TransportFailed
from ._messages import Reply, Request
from ._wires import (
    FAULTS,
    KEEP_ALIVE,
    Body,
    Proxy,
    Trip,
    bare,
    collect,
    dress,
    fits,
    no_slot,
    options,
    outworn,
    proxy_of,
    tls_of,
    where_to,
)

_LOST: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class AsyncTransport:
    """Requests suspend the calling task, on asyncio or trio; one transport serves several loops in turn."""

    def __init__(
        self,
        *,
        max_connections: int = 100,
        connect_timeout: float = 5.0,
        http2: bool = False,
    ) -> None:
        self._most = max_connections
        self._connect_timeout = connect_timeout
        self._http2 = http2
        self._loops: WeakKeyDictionary[Hashable, _Loop] = WeakKeyDictionary()
        self._closed = False

    @property
    def mode(self) -> type[Async]:
        """`Async`."""
        return Async

    async def send(self, request: Request) -> Reply:
        """Return the reply of *request*."""
        if self._closed:
            raise ClientClosed
        loop, trip = self._here(), Trip(request.timeout)
        waiting = True
        with anyio.move_on_after(trip.left()):
            async with loop.slots:
                waiting = False
                return await self._send(loop.shelf, request, trip)
        if waiting:
            raise no_slot(request)
        raise trip.failed(httpcore.ReadTimeout())

    async def _send(self, shelf: "_Shelf", request: Request, trip: "Trip") -> Reply:
        url, netloc = where_to(request)
        wire = await self._take(shelf, url)
        try:
            reply = await wire.carry(request, url, netloc, trip)
        except BaseException as error:
            await wire.aclose()
            if isinstance(error, FAULTS):
                raise trip.failed(error) from bare(error)
            if isinstance(error, TransportFailed):
                raise bare(error) from error.__cause__
            raise
        await self._put(shelf, wire)
        return reply

    async def _take(self, shelf: "_Shelf", url: httpcore.URL) -> "_AsyncWire":
        while shelf.idle:
            wire = shelf.idle.pop()
            if fits(wire, url):
                return wire
            await wire.aclose()
        return _AsyncWire(url, self._connect_timeout, self._http2)

    async def _put(self, shelf: "_Shelf", wire: "_AsyncWire") -> None:
        if self._closed or shelf.closed:
            await wire.aclose()
            return
        wire.since = time.monotonic()
        shelf.idle.append(wire)
        while (worn := outworn(shelf.idle)) is not None:
            await worn.aclose()

    def _here(self) -> "_Loop":
        key = current_loop()
        found = self._loops.get(key)
        if found is None:
            # What belongs to a loop refers to it, so the loop would be kept by its own entry.
            for gone in [
                other for other, its in self._loops.items() if its.shelf.closed or has_ended(other)
            ]:
                del self._loops[gone]
            found = self._loops[key] = _Loop.begin(self._most)
        return found

    async def close(self) -> None:
        """Close the idle connections of the running loop; those of a loop that has ended went with it."""
        self._closed = True
        here = self._loops.pop(current_loop(), None)
        if here is not None:
            await here.keeper.aclose()


@attrs.define(eq=False)
class _Shelf:
    """Where the idle connections of one event loop lie."""

    idle: "deque[_AsyncWire]" = attrs.field(factory=lambda: deque[_AsyncWire]())
    closed: bool = False


@attrs.define(eq=False)
class _Loop:
    """What belongs to one event loop: its connections cannot be used from another."""

    slots: anyio.Semaphore
    shelf: _Shelf
    keeper: AsyncGenerator[None, None]

    @classmethod
    def begin(cls, most: int) -> "_Loop":
        shelf = _Shelf()
        keeper = _keep(shelf)
        drive(keeper.__anext__())
        return cls(anyio.Semaphore(most, fast_acquire=True), shelf, keeper)


async def _keep(shelf: _Shelf) -> AsyncGenerator[None, None]:
    """Close the connections of a loop before it ends.

    Event loops close the asynchronous generators begun in them as the last thing they do. That is the one moment
    to close connections that is announced to everybody: after it they can be neither used nor closed.
    """
    try:
        yield
    finally:
        shelf.closed = True
        while shelf.idle:
            await shelf.idle.pop().aclose()


class _AsyncWire(httpcore.AsyncNetworkBackend):
    """One connection; it opens itself when the first request needs it."""

    def __init__(self, url: httpcore.URL, connect_timeout: float, http2: bool) -> None:
        self.since = 0.0
        self.http2 = http2
        self.trip = Trip(0.0)
        self._connect_timeout = connect_timeout
        self._proxy = proxy_of(url)
        self._line: httpcore.AsyncConnectionInterface | None = None
        self._stream: _AsyncStream | None = None

    @property
    def line(self) -> httpcore.AsyncConnectionInterface:
        """The connection, in httpcore's form; there is one from the first request on."""
        assert self._line is not None
        return self._line

    async def carry(self, request: Request, url: httpcore.URL, netloc: str, trip: "Trip") -> Reply:
        self.trip = trip
        if self._line is None:
            self._line = (
                await self._open(url) if self._proxy is None else self._through(self._proxy, url)
            )
        response = await self.line.handle_async_request(
            dress(request, url, netloc, _Content(request.content))
        )
        trip.check_heard()
        body = Body(response.headers)
        try:
            async for part in response.aiter_stream():
                if not body.add(part) and self._stream is not None:
                    # To leave the loop would leave generators of httpcore unfinished, which is reported as a leak
                    # of the caller's. They end by themselves when their next read finds the connection closed.
                    await self._stream.aclose()
        except httpcore.NetworkError:
            body.check()
            raise
        reply = collect(response.status, response.headers, body)
        await response.aclose()
        return reply

    def is_readable(self) -> bool:
        """Whether something came that nobody asked for."""
        return self._stream is None or bool(self._stream.get_extra_info("is_readable"))

    async def aclose(self) -> None:
        # Shielded, for a cancelled caller would otherwise leave the socket to the garbage collector; bounded, for
        # a peer that does not answer the end of TLS must not hold anybody up.
        with anyio.move_on_after(1.0, shield=True), suppress(OSError, anyio.BrokenResourceError):
            try:
                if self._line is not None:
                    await self._line.aclose()
            finally:
                # The line does not know a stream that was given up before it was whole.
                if self._stream is not None:
                    await self._stream.aclose()

    async def _open(self, url: httpcore.URL) -> httpcore.AsyncConnectionInterface:
        # httpcore has a connection that opens itself, too. It asks before each request whether it is open, with a
        # lock around the question that is one of three turns of the loop in every call.
        host, port = url.origin.host.decode("ascii"), url.origin.port
        stream: httpcore.AsyncNetworkStream = await self.connect_tcp(host, port)
        if (tls := tls_of(url, self.http2)) is not None:
            stream = await stream.start_tls(tls, host)
            if stream.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
                return httpcore.AsyncHTTP2Connection(url.origin, stream, KEEP_ALIVE)
        return httpcore.AsyncHTTP11Connection(url.origin, stream, KEEP_ALIVE)

    def _through(self, proxy: Proxy, url: httpcore.URL) -> httpcore.AsyncConnectionInterface:
        pool: httpcore.AsyncConnectionPool
        if proxy.is_socks:
            pool = httpcore.AsyncSOCKSProxy(
                proxy.url, proxy.auth, **options(url, self.http2), network_backend=self
            )
        else:
            pool = httpcore.AsyncHTTPProxy(
                proxy.url,
                proxy.auth,
                proxy_ssl_context=proxy.tls(),
                **options(url, self.http2),
                network_backend=self,
            )
        return pool.create_connection(url.origin)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with anyio.fail_after(min(self._connect_timeout, self.trip.left())):
                stream = await anyio.connect_tcp(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except (OSError, anyio.BrokenResourceError) as error:
            raise httpcore.ConnectError(_said(error)) from error
        except UnicodeError as error:
            raise httpcore.ConnectError(f"{host}: {error}") from error
        self._stream = _AsyncStream(self, stream)
        return self._stream


class _Content:
    """The content of one request, in one piece.

    httpcore would make an asynchronous generator of it, and leave that unfinished when the caller is cancelled.
    """

    __slots__ = ("_left",)

    def __init__(self, content: bytes) -> None:
        self._left: bytes | None = content

    def __aiter__(self) -> "_Content":
        return self

    async def __anext__(self) -> bytes:
        content, self._left = self._left, None
        if content is None:
            raise StopAsyncIteration
        return content


class _AsyncStream(httpcore.AsyncNetworkStream):
    """A stream of anyio that notes when the first byte leaves; its deadline is the caller's cancel scope.

    That of httpcore has a scope for each read and each write besides, which is a tenth of what a call costs.
    """

    def __init__(self, wire: _AsyncWire, inner: ByteStream) -> None:
        self._wire = wire
        self._inner = inner
        self._socket = inner.extra(SocketAttribute.raw_socket, None)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        trip = self._wire.trip
        trip.heard = trip.sent
        try:
            return await self._inner.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except _LOST as error:
            raise httpcore.ReadError(_said(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:  # the end of a request without a body: nothing leaves
            return
        self._wire.trip.sent = True
        try:
            await self._inner.send(buffer)
        except _LOST as error:
            raise httpcore.WriteError(_said(error)) from error

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        trip = self._wire.trip
        trip.sent = False  # what was written before was for the proxy
        try:
            with anyio.fail_after(trip.left()):
                inner = await TLSStream.wrap(
                    self._inner,
                    hostname=server_hostname,
                    ssl_context=ssl_context,
                    standard_compatible=False,
                )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
            raise httpcore.ConnectError(_said(error)) from error
        return _AsyncStream(self._wire, inner)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._inner.extra(TLSAttribute.ssl_object, None)
        if info == "is_readable":
            return _is_readable(self._socket)
        return None


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _is_readable(wire: socket | None) -> bool:
    """Whether reading would not wait: something came, or the other side has hung up, or there is no socket left."""
    if wire is None or wire.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # on Windows
        return bool(select.select([wire], [], [], 0)[0])
    # Not select() everywhere: it takes no descriptor above 1023.
    look = select.poll()
    look.register(wire, select.POLLIN)
    return bool(look.poll(0))
