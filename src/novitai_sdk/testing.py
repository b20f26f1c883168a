"""For your tests: time that you hold in your hand, and a cloud without sockets.

>>> from novitai_sdk import Novitai
>>> from novitai_sdk.emulator import Emulator
>>> clock = ManualClock()
>>> with Novitai(api_key="k", network=MemoryNetwork(Emulator(api_key="k", clock=clock)), store="memory") as client:
...     len(client.catalog.regions()) > 0
True
"""

import threading
from collections.abc import Iterable, Mapping
from typing import Generic, Protocol
from urllib.parse import urlsplit

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ._calling import Async, Mode, Sync
from ._transport import Reply, Request, Transport
from .errors import ClientClosed, ConnectFailed, TransportFailed
from .webhooks._port import Sending, WebhookReply

__all__ = [
    "Answering",
    "LoopClock",
    "ManualClock",
    "MemoryNetwork",
    "ScriptedTransport",
    "SentWebhook",
]


class ManualClock:
    """A clock that stands still until it is moved, on any thread; both of its times move together.

    >>> clock = ManualClock(time=100.0)
    >>> clock.advance(1.5)
    >>> clock.monotonic(), clock.time()
    (1.5, 101.5)
    """

    def __init__(self, *, time: float = 1_767_225_600.0) -> None:
        self._lock = threading.Lock()
        self._passed = 0.0
        self._start = time

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return self._passed

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return self._start + self._passed

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass. Raises ValueError for less than none: time does not run backwards."""
        if not seconds >= 0:  # so that no number at all is refused, too
            raise ValueError(f"time does not run backwards: {seconds} s")
        with self._lock:
            self._passed += seconds


class LoopClock:
    """The clock of the running event loop: virtual where the loop's is, as on trio with a MockClock."""

    def __init__(self, *, time: float = 1_767_225_600.0) -> None:
        self._start = time

    def monotonic(self) -> float:
        """Seconds on the loop's clock."""
        return anyio.current_time()

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return self._start + anyio.current_time()


class Answering(Protocol):
    """Something that answers requests in memory, as `novitai_sdk.emulator.Emulator` does."""

    def handle(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body.

        Raises ConnectionRefusedError for a connection that does not come about, any other ConnectionError for one
        that breaks.
        """
        ...


class MemoryNetwork:
    """A network that ends in an emulator in this process: no socket, no thread."""

    def __init__(self, cloud: Answering) -> None:
        self.sent: list[SentWebhook] = []
        """The webhooks that would have been sent, oldest first."""
        self._cloud = cloud

    def webhooks(self) -> Sending:
        """Return what keeps webhooks in `sent` instead of sending them."""
        return _Outbox(self.sent)

    def blocking(self) -> Transport[Sync]:
        """Return a transport for a plain client."""
        return _InMemory(self._cloud, Sync)

    def awaiting(self) -> Transport[Async]:
        """Return a transport for an awaiting client."""
        return _InMemory(self._cloud, Async)


@attrs.frozen(kw_only=True)
class SentWebhook:
    """A webhook that would have been sent."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class _Outbox:
    def __init__(self, sent: "list[SentWebhook]") -> None:
        self._sent = sent

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookReply:
        await checkpoint()
        self._sent.append(SentWebhook(url=url, body=body, headers=headers))
        return WebhookReply(status=204)


class _InMemory(Generic[Mode]):
    def __init__(self, cloud: Answering, mode: type[Mode]) -> None:
        self._cloud = cloud
        self._mode = mode
        self._closed = False

    @property
    def mode(self) -> type[Mode]:
        return self._mode

    async def send(self, request: Request) -> Reply:
        if self._closed:
            raise ClientClosed
        if self._mode is Async:
            await checkpoint()
        parts = urlsplit(request.url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        try:
            status, headers, body = self._cloud.handle(
                request.method, path, request.headers, request.content
            )
        except ConnectionRefusedError as error:
            raise ConnectFailed(f"no connection, nothing was sent: {error}") from error
        except ConnectionError as error:
            raise TransportFailed(f"the connection broke: {error}") from error
        lowered = {name.lower(): text for name, text in headers.items()}
        return Reply(status=status, headers=lowered, body=body)

    async def close(self) -> None:
        self._closed = True


class ScriptedTransport(Generic[Mode]):
    """A transport that gives the replies it was given, in order, and remembers what it was asked.

    An exception in the script is raised. Raises AssertionError when more is asked than was scripted.
    """

    def __init__(self, mode: type[Mode], script: Iterable[Reply | Exception]) -> None:
        self.requests: list[Request] = []
        self._mode = mode
        self._script = list(script)

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._mode

    async def send(self, request: Request) -> Reply:
        """Return the next reply of the script."""
        self.requests.append(request)
        if self._mode is Async:
            await checkpoint()
        if not self._script:
            raise AssertionError(f"nothing scripted for {request.method} {request.url}")
        found = self._script.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def close(self) -> None:
        """Nothing to close."""
