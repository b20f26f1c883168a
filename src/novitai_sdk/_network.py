"""What carries a client's requests: our own connections, a client of the caller's, or another engine."""

from typing import Any, Protocol

import attrs

from ._calling import Async, Sync
from ._transport import (
    AsyncTransport,
    BlockingTransport,
    BorrowedAsyncTransport,
    BorrowedTransport,
    InThreads,
    LoopOfOrigin,
    Transport,
    is_http_client,
)
from .settings import Settings
from .webhooks._port import Sending

__all__ = ["Network", "network_of"]


class Network(Protocol):
    """What carries requests. The default speaks HTTP; a test puts another in its place."""

    def blocking(self) -> Transport[Sync]:
        """Return a transport for a plain client."""
        ...

    def awaiting(self) -> Transport[Async]:
        """Return a transport for an awaiting client, or for the job runner of a plain one."""
        ...

    def webhooks(self) -> Sending:
        """Return what sends webhooks."""
        ...


@attrs.frozen
class _Http:
    """The network, as it is."""

    settings: Settings

    def blocking(self) -> Transport[Sync]:
        """A transport on connections of our own."""
        return BlockingTransport(
            max_connections=self.settings.max_connections,
            connect_timeout=self.settings.connect_timeout,
            http2=self.settings.http2,
        )

    def awaiting(self) -> Transport[Async]:
        """A transport on connections of our own."""
        return AsyncTransport(
            max_connections=self.settings.max_connections,
            connect_timeout=self.settings.connect_timeout,
            http2=self.settings.http2,
        )

    def webhooks(self) -> Sending:
        """A sender over httpx, which judges every address before it connects."""
        from .webhooks import Sender

        return Sender(
            allow_http=self.settings.webhook_allow_http,
            allow_networks=self.settings.webhook_allow_networks,
        )


@attrs.frozen
class _Plain(_Http):
    """A plain transport of the caller's; the job runner sends through it, too, from threads."""

    transport: Transport[Sync]

    def blocking(self) -> Transport[Sync]:
        """The transport itself."""
        return self.transport

    def awaiting(self) -> Transport[Async]:
        """The transport, in threads."""
        return InThreads(self.transport, self.settings.max_connections)


@attrs.frozen
class _Awaiting(_Http):
    """An awaiting transport of the caller's."""

    transport: Transport[Async]

    def awaiting(self) -> Transport[Async]:
        """The transport itself."""
        return self.transport


@attrs.frozen
class _AwaitingClient(_Http):
    """An awaiting client of the caller's, which lives in one event loop."""

    client: Any
    home: LoopOfOrigin = attrs.field(factory=LoopOfOrigin)

    def awaiting(self) -> Transport[Async]:
        """A transport over that client. Raises SettingsError in a loop that is not its own."""
        if self.home.known:
            self.home.check()
        return BorrowedAsyncTransport(self.client, self.home)


def network_of(
    settings: Settings,
    mode: type[Sync] | type[Async],
    *,
    network: Network | None,
    transport: Any,
    http_client: object,
) -> Network:
    """Return the network a client was given. Raises TypeError for several, or for the wrong kind."""
    given = [one for one in (network, transport, http_client) if one is not None]
    if len(given) > 1:
        raise TypeError("give one of network, transport and http_client")
    if transport is not None:
        if getattr(transport, "mode", None) is not mode:
            raise TypeError(f"transport must be of mode {mode.__name__}, not {transport!r}")
        return _Plain(settings, transport) if mode is Sync else _Awaiting(settings, transport)
    if http_client is not None:
        if not is_http_client(http_client, mode):
            wanted = "httpx.Client" if mode is Sync else "httpx.AsyncClient"
            raise TypeError(f"http_client must be an {wanted}, not {type(http_client).__name__}")
        if mode is Sync:
            return _Plain(settings, BorrowedTransport(http_client))  # type: ignore[arg-type]  # checked above
        return _AwaitingClient(settings, http_client)
    return network or _Http(settings)
