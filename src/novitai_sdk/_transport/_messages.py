"""What a transport carries, and what a transport is."""

import platform
from collections.abc import Mapping
from typing import Protocol

import attrs

from .._calling import Mode_co


@attrs.frozen(kw_only=True)
class Request:
    """One request, complete: nothing is added to it but what the connection needs."""

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    content: bytes = attrs.field(default=b"", repr=False)
    timeout: float = 30.0
    """Seconds until the whole reply must be here."""


@attrs.frozen(kw_only=True)
class Reply:
    """One whole reply; header names are lower-case."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


class Transport(Protocol[Mode_co]):
    """Carries one request to its reply."""

    @property
    def mode(self) -> type[Mode_co]:
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


class HttpClient(Protocol):
    """An ``httpx.Client``, told by what only it has."""

    def build_request(self, method: str, url: str) -> object:
        """Return a request with the client's own defaults."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class AsyncHttpClient(Protocol):
    """An ``httpx.AsyncClient``, told by what only it has."""

    def build_request(self, method: str, url: str) -> object:
        """Return a request with the client's own defaults."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...


def user_agent(version: str, application: str = "") -> str:
    """Return the User-Agent: who calls, with which version, on which Python."""
    own = f"novitai-sdk/{version} python/{platform.python_version()}"
    return f"{application} {own}" if application else own
