"""One route of the cloud, called with patience.

A session turns a route and a value into a request, sends it, tries again where that is safe, and turns the reply into
a value or an error. Every wait draws on one deadline.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode

import attrs

from ._calling import Mode, Moded
from ._convert import cloud_converter, explain
from ._meter import Meter
from ._retry import Attempt, RetryPolicy
from ._transport import Reply, Request, Transport
from ._waiting import Waiter
from .cloud._refusals import read_refusal
from .cloud._route import Resend, Route
from .errors import (
    ApiError,
    CallError,
    CallTimedOut,
    ConnectFailed,
    TransportFailed,
    UnexpectedReply,
)
from .models import Secret

A = TypeVar("A")
B = TypeVar("B")

_log = logging.getLogger("novitai_sdk")

_DEEPEST: Final = 100


@attrs.frozen(kw_only=True)
class Patience:
    """How long one operation may take, and how often it is tried."""

    timeout: float = 60.0
    attempt_timeout: float = 30.0
    retry: RetryPolicy = RetryPolicy()


class Session(Moded[Mode], Generic[Mode]):
    """Calls routes; everything above it speaks in values."""

    __slots__ = ("_base", "_headers", "_meter", "_patience", "_transport", "waiter")

    def __init__(
        self,
        transport: Transport[Mode],
        waiter: Waiter[Mode],
        *,
        base_url: str,
        api_key: Secret,
        user_agent: str,
        patience: Patience,
        meter: Meter | None = None,
    ) -> None:
        self._meter = meter
        self._transport = transport
        self.waiter = waiter
        self._base = base_url
        self._patience = patience
        self._headers = {
            "Authorization": f"Bearer {api_key.reveal()}",
            # Documented as required, also where there is no body.
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": user_agent,
        }

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._transport.mode

    def patient(self, patience: Patience) -> "Session[Mode]":
        """Return a session on the same connections with other limits."""
        other: Session[Mode] = object.__new__(Session)
        for name in Session.__slots__:
            setattr(other, name, getattr(self, name))
        other._patience = patience
        return other

    @property
    def patience(self) -> Patience:
        """The limits of this session."""
        return self._patience

    async def call(
        self, route: Route[B, A], body: B | None = None, *, timeout: float | None = None
    ) -> A:
        """Call *route* and return its answer.

        *timeout* is the deadline of the whole operation in seconds, tries and waits together. Raises CallError.
        """
        started = self.waiter.monotonic()
        ends = started + (self._patience.timeout if timeout is None else timeout)
        number = 0
        while True:
            number += 1
            error = await self._try(route, body, ends)
            if not isinstance(error, CallError):
                return error
            error.operation = route.name
            error.attempts = number
            error.elapsed = self.waiter.monotonic() - started
            error.resend_safe = _resend_safe(route, error)
            wait = self._patience.retry.wait_after(_attempt(route, error, number))
            if wait is None or self.waiter.monotonic() + wait >= ends:
                raise error
            _log.debug("%s: trying again in %.2f s: %s", route.name, wait, error.message)
            await self.waiter.sleep(wait)

    async def _try(self, route: Route[B, A], body: B | None, ends: float) -> "A | CallError":
        left = ends - self.waiter.monotonic()
        if left <= 0:
            return CallTimedOut("the deadline passed")
        request = self._request(route, body, min(left, self._patience.attempt_timeout))
        started = self.waiter.monotonic()
        try:
            reply = await self._transport.send(request)
        except TransportFailed as error:
            self._count(started, failed=True)
            return error
        self._count(started, failed=reply.status >= 400)
        if reply.status == 200 or reply.status in (201, 202, 204):
            return _answer(route, reply, self.waiter.time())
        return read_refusal(reply.status, reply.headers, reply.body, now=self.waiter.time()).error()

    def _count(self, started: float, *, failed: bool) -> None:
        if self._meter is not None:
            now = self.waiter.monotonic()
            self._meter.count(at=now, took=now - started, failed=failed)

    def _request(self, route: Route[B, A], body: B | None, timeout: float) -> Request:
        written: Mapping[str, Any] = {} if body is None else cloud_converter.unstructure(body)
        url, content = self._base + route.url, b""
        if route.method == "GET":
            query = urlencode(
                [(name, _in_query(value)) for name, value in written.items()], quote_via=quote
            )
            url = f"{url}?{query}" if query else url
        else:
            content = json.dumps(written, separators=(",", ":"), allow_nan=False).encode()
        return Request(
            method=route.method, url=url, headers=self._headers, content=content, timeout=timeout
        )


def _in_query(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _attempt(route: Route[Any, Any], error: CallError, number: int) -> Attempt:
    refused = isinstance(error, ApiError)
    return Attempt(
        number=number,
        status=error.status if refused else None,
        sent=not isinstance(error, ConnectFailed),
        # A reply that cannot be read is not asked for again: it would be the same.
        repeatable=route.resend is not Resend.NEVER and not isinstance(error, UnexpectedReply),
        retry_after=error.retry_after if refused else None,
    )


def _resend_safe(route: Route[Any, Any], error: CallError) -> bool:
    if route.resend is not Resend.NEVER or isinstance(error, ConnectFailed):
        return True
    return isinstance(error, ApiError) and error.status < 500


def _answer(route: Route[B, A], reply: Reply, now: float) -> "A | CallError":
    if route.answer is None:
        nothing: Any = None
        return nothing  # type: ignore[no-any-return]  # a route without an answer has A = None
    text = reply.body.strip()
    if not text:
        found: Any = {}
    else:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return _unexpected(route, reply, ["not JSON: " + repr(text[:80])])
    try:
        return cloud_converter.structure(found, route.answer)
    except RecursionError:
        return _unexpected(route, reply, [f"nested deeper than {_DEEPEST} levels"])
    except Exception as error:
        problems = explain(error)
    if isinstance(found, dict) and (
        isinstance(found.get("error"), str) or isinstance(found.get("message"), str)
    ):
        # Some refusals come with a 200; without what was promised they are refusals all the same.
        return read_refusal(reply.status, reply.headers, reply.body, now=now).error()
    return _unexpected(route, reply, problems)


def _unexpected(route: Route[Any, Any], reply: Reply, problems: list[str]) -> UnexpectedReply:
    message = (
        f"{route.method} {route.path} answered {reply.status} with something else than promised"
    )
    return UnexpectedReply(message, status=reply.status, problems=problems)
