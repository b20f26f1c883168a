"""Requests of plain clients."""

import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore

from .._calling import Sync
from .._inherited import Inherited
from ..errors import ClientClosed, TransportFailed
from ._messages import Reply, Request
from ._wires import (
    FAULTS,
    Body,
    Trip,
    bare,
    collect,
    dress,
    fits,
    no_slot,
    options,
    outworn,
    proxy_of,
    where_to,
)


class BlockingTransport:
    """Requests block the calling thread. Safe for many threads, and after a fork.

    Only the resolution of a name has no deadline: the operating system's own limits hold there.
    """

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
        self._closed = False
        self.begin_anew()
        _in_this_process.add(self)

    def begin_anew(self) -> None:
        """Start with no connection and every slot free."""
        self._slots = Slots(self._most)
        self._idle: deque[_Wire] = deque()

    def leave_to_parent(self) -> None:
        """After a fork, in the child: the connections are the parent's; only the child's handles are closed."""
        inherited = self._idle
        # Slots and locks held by the parent's other threads have nobody here to give them back.
        self.begin_anew()
        while inherited:
            inherited.pop().close()

    @property
    def mode(self) -> type[Sync]:
        """`Sync`."""
        return Sync

    async def send(self, request: Request) -> Reply:
        """Return the reply of *request*."""
        if self._closed:
            raise ClientClosed
        trip, slots = Trip(request.timeout), self._slots
        if not slots.take(trip.left()):
            raise no_slot(request)
        try:
            return self._send(request, trip)
        finally:
            slots.give()

    def _send(self, request: Request, trip: "Trip") -> Reply:
        url, netloc = where_to(request)
        wire = self._take(url)
        try:
            reply = wire.carry(request, url, netloc, trip)
        except BaseException as error:
            wire.close()
            if isinstance(error, FAULTS):
                raise trip.failed(error) from bare(error)
            if isinstance(error, TransportFailed):
                raise bare(error) from error.__cause__
            raise
        self._put(wire)
        return reply

    def _take(self, url: httpcore.URL) -> "_Wire":
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return _Wire(url, self._connect_timeout, self._http2)
            if fits(wire, url):
                return wire
            wire.close()

    def _put(self, wire: "_Wire") -> None:
        wire.since = time.monotonic()
        self._idle.append(wire)
        while (worn := outworn(self._idle)) is not None:
            worn.close()
        # Looked at after the connection was laid down, or a close in between would miss it.
        if self._closed:
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):  # another thread was quicker
                self._idle.pop().close()

    async def close(self) -> None:
        """Close the idle connections."""
        self._closed = True
        self._close_idle()


# Two processes on one connection would mix up their replies.
_in_this_process = Inherited(BlockingTransport.leave_to_parent)


class Slots:
    """Places for so many at once, first come, first served.

    A `threading.Semaphore` lets a newcomer overtake those who wait, so under load some wait for ever.
    """

    def __init__(self, free: int) -> None:
        self._lock = threading.Lock()
        self._free = free
        self._queue: deque[threading.Lock] = deque()

    def take(self, timeout: float) -> bool:
        with self._lock:
            if self._free:  # a place is free only while nobody waits: `give` hands it on
                self._free -= 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        try:
            if turn.acquire(timeout=timeout):
                return True
        except BaseException:  # a KeyboardInterrupt must not take the place with it
            if self._came_late(turn):
                self.give()
            raise
        return self._came_late(turn)

    def _came_late(self, turn: threading.Lock) -> bool:
        """Stop waiting; True if the place was handed over just before."""
        with self._lock:
            if turn in self._queue:
                self._queue.remove(turn)
                return False
            return True

    def give(self) -> None:
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._free += 1


class _Wire(httpcore.NetworkBackend):
    """One connection; it opens itself when the first request needs it."""

    def __init__(self, url: httpcore.URL, connect_timeout: float, http2: bool) -> None:
        self.since = 0.0
        self.http2 = http2
        self.trip = Trip(0.0)
        self.stream: httpcore.NetworkStream | None = None
        self._connect_timeout = connect_timeout
        proxy = proxy_of(url)
        pool: httpcore.ConnectionPool
        if proxy is None:
            pool = httpcore.ConnectionPool(**options(url, http2), network_backend=self)
        elif proxy.is_socks:
            pool = httpcore.SOCKSProxy(
                proxy.url, proxy.auth, **options(url, http2), network_backend=self
            )
        else:
            pool = httpcore.HTTPProxy(
                proxy.url,
                proxy.auth,
                proxy_ssl_context=proxy.tls(),
                **options(url, http2),
                network_backend=self,
            )
        # Only the maker of connections is wanted of the pool.
        self.line = pool.create_connection(url.origin)

    def carry(self, request: Request, url: httpcore.URL, netloc: str, trip: "Trip") -> Reply:
        self.trip = trip
        response = self.line.handle_request(dress(request, url, netloc, request.content))
        trip.check_heard()
        body = Body(response.headers)
        for part in response.iter_stream():
            if not body.add(part):
                break
        reply = collect(response.status, response.headers, body)
        response.close()
        return reply

    def is_readable(self) -> bool:
        """Whether something came that nobody asked for."""
        return self.stream is None or bool(self.stream.get_extra_info("is_readable"))

    def close(self) -> None:
        self.line.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        ends = time.monotonic() + min(self._connect_timeout, self.trip.left())
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host}: {error}") from error
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for number, (*_, address) in enumerate(found):
            # Each address its share: one that swallows everything must not use up the time of the others.
            share = max(0.001, ends - time.monotonic()) / (len(found) - number)
            try:
                stream = httpcore.SyncBackend().connect_tcp(str(address[0]), port, share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                self.stream = stream
                return _Stream(self, stream)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A stream under the deadline of the request it carries, whatever limit a single read is given."""

    def __init__(self, wire: _Wire, inner: httpcore.NetworkStream) -> None:
        self._wire = wire
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        trip = self._wire.trip
        trip.heard = trip.sent
        return self._inner.read(max_bytes, trip.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        trip = self._wire.trip
        trip.sent = True
        # In pieces, for the limit holds for each: a peer that reads slowly must not stretch the deadline.
        for start in range(0, len(buffer), 65_536):
            self._inner.write(buffer[start : start + 65_536], trip.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        trip = self._wire.trip
        trip.sent = False  # what was written before was for the proxy
        left = trip.left(httpcore.ConnectTimeout)
        self._wire.stream = self._inner.start_tls(ssl_context, server_hostname, left)
        return _Stream(self._wire, self._wire.stream)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
