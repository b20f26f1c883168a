"""Requests over a client of httpx that somebody else configured: its proxies, certificates and hooks hold.

What cannot be had there is said here: whether anything has left is told by the trace of httpcore alone, so where an
engine gives none, everything counts as sent; and a plain client meets its deadline between two parts of a body, while
the head of an answer may take as long as it drips.
"""

import zlib
from collections.abc import Hashable, Mapping
from contextlib import suppress
from functools import partial
from socket import SHUT_RDWR
from typing import Any, Final

import anyio
import anyio.to_thread
import httpcore
import httpx

from .._calling import Async, Sync, drive
from .._loops import current_loop
from ..errors import (
    CallError,
    CallTimedOut,
    ClientClosed,
    ConnectFailed,
    SettingsError,
    TransportFailed,
)
from ._messages import Reply, Request, Transport
from ._wires import Body, Trip, bare, collect, no_slot, said_of

__all__ = [
    "BorrowedAsyncTransport",
    "BorrowedTransport",
    "InThreads",
    "LoopOfOrigin",
    "is_http_client",
]

_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_FAULTS: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, zlib.error)


def is_http_client(found: object, mode: type[Sync] | type[Async]) -> bool:
    """Whether *found* is a client of httpx for that mode."""
    return isinstance(found, httpx.Client if mode is Sync else httpx.AsyncClient)


# What httpcore does before a request is written. Whatever else it tells of counts as the request on its way.
_BEFORE: Final = frozenset({"connection", "proxy", "socks"})


class _Trace:
    """Listens to what httpcore does for one request: whether anything was heard, and whether it may have left."""

    def __init__(self) -> None:
        self.heard = False
        self.sent = False

    def note(self, event: str, facts: Mapping[str, Any]) -> None:
        self.heard = True
        where, _, what = event.partition(".")
        if where not in _BEFORE and what.endswith(".started") and not _is_for_proxy(facts):
            self.sent = True

    async def anote(self, event: str, facts: Mapping[str, Any]) -> None:
        self.note(event, facts)

    def proves_unsent(self, error: Exception, asked: httpx.Request) -> bool:
        """Whether *error* shows that nothing of *asked* has left. The user's hooks may raise the same classes, for
        requests of their own, when the answer to ours is there already.
        """
        if self.sent or not isinstance(error, _UNSENT) or _request_of(error) is not asked:
            return False
        # For a place in its pool httpcore waits without a word.
        return self.heard or isinstance(error.__cause__, httpcore.PoolTimeout)


def _is_for_proxy(facts: Mapping[str, Any]) -> bool:
    request = facts.get("request")
    return isinstance(request, httpcore.Request) and request.method == b"CONNECT"


def _request_of(error: Exception) -> httpx.Request | None:
    try:
        return error.request if isinstance(error, httpx.RequestError) else None
    except RuntimeError:  # who raised it did not say
        return None


def _dress(
    client: httpx.Client | httpx.AsyncClient, request: Request, left: float, trace: object
) -> httpx.Request:
    own = client.timeout.connect
    try:
        return client.build_request(
            request.method,
            request.url,
            headers={"Accept-Encoding": "gzip", **request.headers},
            content=request.content or None,
            timeout=httpx.Timeout(left, connect=left if own is None else min(own, left)),
            extensions={"trace": trace},
        )
    except httpx.InvalidURL as error:
        raise ConnectFailed(f"nothing was sent: {error}") from bare(error)


def _failed(error: Exception, request: Request, *, unsent: bool) -> TransportFailed:
    said = said_of(error)
    if unsent and isinstance(error, httpx.PoolTimeout):
        return no_slot(request)
    if unsent:
        return ConnectFailed(f"no connection, nothing was sent: {said}")
    if isinstance(error, httpx.TimeoutException):
        return _late(request)
    return TransportFailed(f"the connection broke: {said}")


def _of_another_call(error: CallError) -> TransportFailed:
    # A hook may use a client of this library, too. What that one proves, it proves of its own requests.
    return TransportFailed(f"a hook of the http_client raised {type(error).__name__}: {error}")


def _refused_by_hook(error: httpx.HTTPError, asked: httpx.Request) -> Reply | None:
    """The answer that a hook refused with `raise_for_status`: it is for us to say what it means."""
    if not isinstance(error, httpx.HTTPStatusError) or error.response.request is not asked:
        return None
    response = error.response
    if response.status_code < 300:
        return None
    return _read_by_hook(response) or _unread(response)


def _read_by_hook(response: httpx.Response) -> Reply | None:
    """The reply whose body a hook has read already; None if it is still to come."""
    try:
        content = response.content
    except httpx.ResponseNotRead:
        return None
    body = Body(())  # httpx unpacked it
    body.add(content)
    return collect(response.status_code, response.headers.raw, body)


def _unread(response: httpx.Response) -> Reply:
    # Its body is gone with its connection. What stands for it must be no empty body: an empty 404 means that a thing
    # is gone, and nobody knows whether this one did.
    body = Body(())
    body.add(b"its body was not read before a hook of the http_client raised")
    return collect(response.status_code, response.headers.raw, body)


def _hang_up(response: httpx.Response) -> None:
    """End the connection of a reply that is read no further.

    It is not closed: httpcore takes one whose reply was here already for idle, and asks whether it can be read, which
    is an error on trio, there and in each later call of the caller's client.
    """
    stream = response.extensions.get("network_stream")
    wire = None if stream is None else stream.get_extra_info("socket")
    if wire is not None:
        with suppress(OSError):  # it ended by itself
            wire.shutdown(SHUT_RDWR)


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
        trip, trace = Trip(request.timeout), _Trace()
        asked = _dress(self._client, request, trip.left(), trace.note)
        try:
            return self._send(asked, request, trip)
        except _FAULTS as error:
            if isinstance(error, httpx.HTTPError) and (reply := _refused_by_hook(error, asked)):
                return reply
            unsent = trace.proves_unsent(error, asked)
            raise _failed(error, request, unsent=unsent) from bare(error)
        except TransportFailed as error:
            raise bare(error) from error.__cause__

    def _send(self, asked: httpx.Request, request: Request, trip: Trip) -> Reply:
        # The key is ours, so no other way to say who asks; and it goes to the base URL only.
        try:
            response = self._client.send(asked, stream=True, auth=None, follow_redirects=False)
        except CallError as error:
            raise _of_another_call(error) from bare(error)
        try:
            if reply := _read_by_hook(response):
                return reply
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
        trip, trace = Trip(request.timeout), _Trace()
        asked = _dress(self._client, request, trip.left(), trace.anote)
        try:
            with anyio.move_on_after(trip.left()):
                return await self._send(asked)
        except _FAULTS as error:
            if isinstance(error, httpx.HTTPError) and (reply := _refused_by_hook(error, asked)):
                return reply
            unsent = trace.proves_unsent(error, asked)
            raise _failed(error, request, unsent=unsent) from bare(error)
        except TransportFailed as error:
            raise bare(error) from error.__cause__
        raise _late(request)

    async def _send(self, asked: httpx.Request) -> Reply:
        try:
            response = await self._client.send(
                asked, stream=True, auth=None, follow_redirects=False
            )
        except CallError as error:
            raise _of_another_call(error) from bare(error)
        try:
            if reply := _read_by_hook(response):
                return reply
            body = Body(response.headers.raw)
            try:
                async for part in response.aiter_raw():
                    if not body.add(part):
                        # To leave the loop would leave generators unfinished; see the wires of our own.
                        _hang_up(response)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
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
