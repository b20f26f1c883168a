"""One route of the cloud, called with patience.

A session turns a route and a value into a request, sends it, tries again where that is safe, and turns the reply into
a value or an error. Every wait draws on one deadline.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import SplitResult, quote, urlencode, urlsplit

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
    ServerFailed,
    TransportFailed,
    UnexpectedReply,
)
from .models import Secret
from .models._base import MASK

A = TypeVar("A")
B = TypeVar("B")

_log = logging.getLogger("novitai_sdk")

_DEEPEST: Final = 100
_SUCCESS: Final = frozenset({200, 201, 202, 204})


@attrs.frozen(kw_only=True)
class Patience:
    """How long one operation may take, and how often it is tried."""

    timeout: float = 60.0
    attempt_timeout: float = 30.0
    retry: RetryPolicy = RetryPolicy()


class Session(Moded[Mode], Generic[Mode]):
    """Calls routes; everything above it speaks in values."""

    __slots__ = ("_base", "_headers", "_key", "_meter", "_patience", "_transport", "waiter")

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
        self.waiter: Waiter[Mode] = waiter
        self._base = base_url
        self._key = api_key
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
        other = cast("Session[Mode]", object.__new__(Session))
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
        error: CallError = CallTimedOut("the deadline had passed before anything was sent")
        error.resend_safe = True
        while (left := ends - self.waiter.monotonic()) > 0:
            number += 1
            request = self._request(route, body, min(left, self._patience.attempt_timeout))
            try:
                return await self._try(route, request)
            except CallError as failed:
                error = failed
            error.resend_safe = _resend_safe(route, error)
            wait = self._patience.retry.wait_after(_attempt(route, error, number))
            if wait is None or self.waiter.monotonic() + wait >= ends:
                break
            _log.debug("%s: trying again in %.2f s: %s", route.name, wait, error.message)
            await self.waiter.sleep(wait)
        error.operation = route.name
        error.attempts = number
        error.elapsed = self.waiter.monotonic() - started
        raise error

    async def _try(self, route: Route[B, A], request: Request) -> A:
        started = self.waiter.monotonic()
        try:
            reply = self._masked(await self._transport.send(request))
        except TransportFailed:
            self._count(started, failed=True)
            raise
        self._count(started, failed=reply.status >= 400)
        return _read(route, reply, self.waiter.time())

    def _masked(self, reply: Reply) -> Reply:
        """Take the key out of what is not a success: some services repeat what they refuse, and it is shown."""
        if reply.status in _SUCCESS:
            return reply
        key = self._key.reveal()
        return attrs.evolve(
            reply,
            headers={name: text.replace(key, MASK) for name, text in reply.headers.items()},
            body=reply.body.replace(key.encode(), MASK.encode()),
        )

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
    if isinstance(value, list | tuple):
        return ",".join(map(str, cast(list[object], value)))
    return str(value)


def _attempt(route: Route[Any, Any], error: CallError, number: int) -> Attempt:
    refused = error if isinstance(error, ApiError) else None
    return Attempt(
        number=number,
        status=refused.status if refused else None,
        sent=not isinstance(error, ConnectFailed),
        # A reply that cannot be read is not asked for again: it would be the same.
        repeatable=route.resend is not Resend.NEVER and not isinstance(error, UnexpectedReply),
        retry_after=refused.retry_after if refused else None,
    )


def _resend_safe(route: Route[Any, Any], error: CallError) -> bool:
    if route.resend is not Resend.NEVER or isinstance(error, ConnectFailed):
        return True
    # A refusal in a 200 is not proof enough that nothing was made.
    return isinstance(error, ApiError) and error.status >= 400 and not _may_have_happened(error)


def _may_have_happened(error: ApiError) -> bool:
    return isinstance(error, ServerFailed) or error.status >= 500


def _read(route: Route[B, A], reply: Reply, now: float) -> A:
    """Turn a reply into the answer the route promises, or raise what it is instead."""
    if 300 <= reply.status < 400:
        raise _redirected(route, reply)
    if reply.status not in _SUCCESS:
        if reply.status < 300:
            raise _unexpected(route, reply, [f"status {reply.status} is not part of the contract"])
        raise _refused(reply, now)
    found = _json(route, reply)
    if route.answer is None:
        if _complains(found, promised=False):
            raise _refused(reply, now)
        return cast(A, None)  # a route without an answer has A = None
    try:
        return cloud_converter.structure(found, route.answer)
    except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is explained
        problems = explain(error)
    # Some refusals come with a 200; without what was promised they are refusals all the same.
    if _complains(found, promised=True):
        raise _refused(reply, now)
    raise _unexpected(route, reply, problems)


def _json(route: Route[Any, Any], reply: Reply) -> object:
    """The JSON of a reply; an empty body stands for an empty object."""
    text = reply.body.strip()
    if not text:
        return {}
    try:
        found: object = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise _too_deep(route, reply) from None
    except ValueError:
        # Writes are documented to answer nothing; what they answer all the same need not be JSON. A page is not
        # an answer of the cloud, though, but of something in between.
        if route.answer is None and not text.startswith(b"<"):
            return {}
        raise _unexpected(route, reply, [f"not JSON: {text[:80]!r}"]) from None
    if text.count(b"{") + text.count(b"[") > _DEEPEST and _depth(found) > _DEEPEST:
        raise _too_deep(route, reply)
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _depth(value: object) -> int:
    # Level by level: a function that called itself would meet the limit this one is here to keep from others.
    level, depth = _inside(value), 1
    while level and depth <= _DEEPEST:
        level, depth = [below for one in level for below in _inside(one)], depth + 1
    return depth


def _inside(value: object) -> list[object]:
    """The objects and lists in an object or a list."""
    if isinstance(value, dict):
        inner = list(cast(dict[str, object], value).values())
    elif isinstance(value, list):
        inner = cast(list[object], value)
    else:
        return []
    return [one for one in inner if isinstance(one, dict | list)]


def _complains(found: object, *, promised: bool) -> bool:
    """Whether the body of a success is a refusal; where something was *promised*, only if that is missing."""
    if not isinstance(found, dict):
        return False
    fields = cast(dict[str, object], found)
    if promised:
        return isinstance(fields.get("error"), str) or isinstance(fields.get("message"), str)
    # A message alone may say "success".
    code = fields.get("code")
    return bool(fields.get("error") or fields.get("reason")) or (
        isinstance(code, int) and code >= 400
    )


def _refused(reply: Reply, now: float) -> ApiError:
    return read_refusal(reply.status, reply.headers, reply.body, now=now).error()


def _redirected(route: Route[Any, Any], reply: Reply) -> UnexpectedReply:
    # Only where to, without path and query: they may hold what is nobody else's business.
    parts = _split(reply.headers.get("location", ""))
    to = f"to {parts.scheme}://{parts.hostname}" if parts and parts.hostname else "to another path"
    advice = f"it redirects {to}, which is not followed: the API key goes to the base URL only. Is that right?"
    return _unexpected(route, reply, [advice])


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _too_deep(route: Route[Any, Any], reply: Reply) -> UnexpectedReply:
    return _unexpected(route, reply, [f"nested deeper than {_DEEPEST} levels"])


def _unexpected(route: Route[Any, Any], reply: Reply, problems: list[str]) -> UnexpectedReply:
    message = (
        f"{route.method} {route.path} answered {reply.status} with something else than promised"
    )
    return UnexpectedReply(message, status=reply.status, problems=problems)
