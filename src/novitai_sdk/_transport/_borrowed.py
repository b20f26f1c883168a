"""Requests over a client of httpx that somebody else configured: its proxies, certificates and hooks hold.

What cannot be had there is said here: httpx does not tell whether a byte has left, so less counts as unsent; and a
plain client meets its deadline between two reads, not in the middle of one.
"""

from collections.abc import Hashable
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
import httpx

from .._calling import Async, Sync, drive
from .._waiting import current_loop
from ..errors import CallTimedOut, ClientClosed, ConnectFailed, SettingsError, TransportFailed
from ._messages import Reply, Request, Transport
from ._wires import Body, Trip, bare, collect

__all__ = [
    "BorrowedAsyncTransport",
    "BorrowedTransport",
    "InThreads",
    "LoopOfOrigin",
    "is_http_client",
]

_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_FAULTS: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)


def is_http_client(found: object, mode: type[Sync] | type[Async]) -> bool:
    """Whether *found* is a client of httpx for that mode."""
    return isinstance(found, httpx.Client if mode is Sync else httpx.AsyncClient)


def _dress(
    client: httpx.Client | httpx.AsyncClient, request: Request, left: float
) -> httpx.Request:
    own = client.timeout.connect
    return client.build_request(
        request.method,
        request.url,
        headers={"Accept-Encoding": "gzip", **request.headers},
        content=request.content or None,
        timeout=httpx.Timeout(left, connect=left if own is None else min(own, left)),
    )


def _failed(error: Exception, request: Request) -> TransportFailed:
    said = str(error) or type(error).__name__
    if isinstance(error, _UNSENT):
        return ConnectFailed(f"no connection, nothing was sent: {said}")
    if isinstance(error, httpx.TimeoutException):
        return _late(request)
    return TransportFailed(f"the connection broke: {said}")


def _late(request: Request) -> CallTimedOut:
    return CallTimedOut(f"no whole reply within {request.timeout:g} s")


class BorrowedTransport:
    """Requests over somebody's `httpx.Client`, which stays theirs: it is not closed here."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._closed = False

    @property
    def mode(self) -> type[Sync]:
        """`Sync`."""
        return Sync

    async def send(self, request: Request) -> Reply:
        """Return the reply of *request*."""
        if self._closed:
            raise ClientClosed
        trip = Trip(request.timeout)
        try:
            return self._send(request, trip)
        except _FAULTS as error:
            raise _failed(error, request) from bare(error)

    def _send(self, request: Request, trip: Trip) -> Reply:
        asked = _dress(self._client, request, trip.left())
        # The key is ours, so no other way to say who asks; and it goes to the base URL only.
        response = self._client.send(asked, stream=True, auth=None, follow_redirects=False)
        try:
            body = Body(response.headers.raw)
            for part in response.iter_raw():
                if not trip.left():
                    raise _late(request)
                if not body.add(part):
                    break
            return collect(response.status_code, response.headers.raw, body)
        finally:
            response.close()

    async def close(self) -> None:
        """Send nothing any more."""
        self._closed = True


class LoopOfOrigin:
    """The event loop that a borrowed client began to live in: its connections cannot be used from another."""

    def __init__(self) -> None:
        self._loop: Hashable | None = None

    @property
    def known(self) -> bool:
        """Whether it has been in use."""
        return self._loop is not None

    def check(self) -> None:
        """Raise SettingsError in any other loop than the first."""
        here = current_loop()
        if self._loop is None:
            self._loop = here
        elif self._loop != here:
            problem = (
                "http_client is in use in another event loop: enter the AsyncNovitai with `async with`, so its jobs "
                "run in yours, and make one for each loop"
            )
            raise SettingsError([problem])


class BorrowedAsyncTransport:
    """Requests over somebody's `httpx.AsyncClient`, which stays theirs: it is not closed here."""

    def __init__(self, client: httpx.AsyncClient, home: LoopOfOrigin) -> None:
        self._client = client
        self._home = home
        self._closed = False

    @property
    def mode(self) -> type[Async]:
        """`Async`."""
        return Async

    async def send(self, request: Request) -> Reply:
        """Return the reply of *request*."""
        if self._closed:
            raise ClientClosed
        self._home.check()
        trip = Trip(request.timeout)
        try:
            with anyio.move_on_after(trip.left()):
                return await self._send(request, trip)
        except _FAULTS as error:
            raise _failed(error, request) from bare(error)
        raise _late(request)

    async def _send(self, request: Request, trip: Trip) -> Reply:
        asked = _dress(self._client, request, trip.left())
        response = await self._client.send(asked, stream=True, auth=None, follow_redirects=False)
        try:
            body = Body(response.headers.raw)
            try:
                async for part in response.aiter_raw():
                    if not body.add(part) and (stream := response.extensions.get("network_stream")):
                        # To leave the loop would leave generators unfinished; see the wires of our own.
                        await stream.aclose()
            except httpx.NetworkError:
                body.check()
                raise
            return collect(response.status_code, response.headers.raw, body)
        finally:
            with anyio.move_on_after(1.0, shield=True):
                await response.aclose()

    async def close(self) -> None:
        """Send nothing any more."""
        self._closed = True


class InThreads:
    """A plain transport for the job runner of a plain client: requests wait in threads, so many at once."""

    def __init__(self, inner: Transport[Sync], most: int) -> None:
        self._inner = inner
        self._limiter = anyio.CapacityLimiter(most)
        self._closed = False

    @property
    def mode(self) -> type[Async]:
        """`Async`."""
        return Async

    async def send(self, request: Request) -> Reply:
        """Return the reply of *request*; a cancelled one goes on in its thread until its own deadline."""
        if self._closed:
            raise ClientClosed
        return await anyio.to_thread.run_sync(
            partial(_drive, self._inner, request), abandon_on_cancel=True, limiter=self._limiter
        )

    async def close(self) -> None:
        """Send nothing any more; what was wrapped goes on to serve its client."""
        self._closed = True


def _drive(transport: Transport[Sync], request: Request) -> Reply:
    return drive(transport.send(request))
