"""A cloud whose answers a test may bend."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from novitai_sdk.emulator import Emulator
from novitai_sdk.testing import MemoryNetwork
from novitai_sdk.transport import Reply

Answer = tuple[int, Mapping[str, str], bytes]
Bend = Callable[[str, str, Callable[[], Answer]], Answer]
"""Given the method, the path with its query, and what answers as the emulator does."""


class Bent:
    """An emulator behind a function that decides what becomes of each answer."""

    def __init__(self, cloud: Emulator, bend: Bend) -> None:
        self._cloud = cloud
        self._bend = bend

    def handle(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Any:
        return self._bend(
            method, path, lambda: self._cloud.handle(method, path, headers or {}, body)
        )


def said(body: object, status: int = 200) -> Answer:
    """An answer with *body* as JSON."""
    return status, {"content-type": "application/json"}, json.dumps(body).encode()


def not_found() -> Answer:
    """The cloud's answer about what it does not know."""
    return said({"code": 404, "reason": "RESOURCE_NOT_FOUND", "message": "not found"}, 404)


Hook = Callable[[Any, Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Given a request, and what sends it on."""


class Hooked(MemoryNetwork):
    """A network on which a function decides what becomes of each request of an awaiting client."""

    hook: Hook | None = None

    def awaiting(self) -> Any:
        network, inner = self, super().awaiting()

        class Transport:
            mode = inner.mode

            async def send(self, request: Any) -> Any:
                if network.hook is None:
                    return await inner.send(request)
                return await network.hook(request, lambda: inner.send(request))

            async def close(self) -> None:
                await inner.close()

        return Transport()


def replied(body: object, status: int = 200, **headers: str) -> Reply:
    """A whole reply with *body* as JSON."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    known = {"content-type": "application/json", **named}
    return Reply(status=status, headers=known, body=json.dumps(body).encode())
