"""One route of the cloud, called with patience.

A session turns a route and a value into a request, sends it, tries again where that is safe, and hands on what is read
of the reply. Every wait draws on one deadline.
"""

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import quote, urlencode

import attrs

from . import _replies
from ._calling import Mode, Moded
from ._circuit import CircuitBreaker
from ._circuit_life import CLEAR, Event
from ._convert import cloud_converter
from ._drift import noted
from ._gates import Gates
from ._masking import Mask, hide
from ._overdue import Overdue, until
from ._passing import pass_gates
from ._rate import RateLimit
from ._replies import SUCCESS, as_it_came, json_of
from ._retry import Attempt, Hook, RetryPolicy, may_repeat
from ._transport import Reply, Request, Transport, proxy_secrets
from ._waiting import Waiter
from .cloud._raw import RawReply
from .cloud._refusals import request_id
from .cloud._route import AnyRoute, Resend, Route
from .errors import (
    ApiError,
    CallError,
    CallTimedOut,
    CircuitOpen,
    ConnectFailed,
    NoFreeConnection,
    ServerFailed,
    TransportFailed,
    UnexpectedReply,
    ValidationError,
)
from .models import Secret, ValidationErrorDetail
from .models._base import Json, secrets_in
from .settings import Limits, read_limits

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

_log: Final = logging.getLogger("novitai_sdk")

# Bytes of a reply that are read in a moment, whatever is in them.
_SOON_READ: Final = 65_536

Read = Callable[[Route[Any, Any], Reply, Callable[[], float]], T]
"""Makes of a reply what the caller gets."""


@attrs.frozen(kw_only=True)
class Patience:
    """How long one operation may take, how often and how fast it is tried, and who is told."""

    timeout: float = 60.0
    attempt_timeout: float = 30.0
    retry: RetryPolicy = RetryPolicy()
    rate_limit: RateLimit | None = None
    circuit_breaker: CircuitBreaker | None = None
    on_attempt: tuple[Hook, ...] = ()
    urgent: bool = False
    """Whether its calls go before those who wait for the rate limit, as those do that end a bill."""


class Session(Moded[Mode], Generic[Mode]):
    """Calls routes; everything above it speaks in values."""

    __slots__ = (
        "_base", "_breaker", "_bucket", "_gates", "_headers", "_key", "_patience", "_transport", "waiter",
    )  # fmt: skip

    def __init__(
        self,
        transport: Transport[Mode],
        waiter: Waiter[Mode],
        *,
        base_url: str,
        api_key: Secret,
        user_agent: str,
        patience: Patience,
        gates: Gates | None = None,
    ) -> None:
        self._gates = gates or Gates()
        self._transport = transport
        self.waiter: Waiter[Mode] = waiter
        self._base = base_url
        self._key = api_key
        self._adopt(patience)
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
        """Return a session on the same connections, and behind the same gates, with other limits."""
        other = cast("Session[Mode]", object.__new__(Session))
        for name in Session.__slots__:
            setattr(other, name, getattr(self, name))
        other._adopt(patience)
        return other

    def limited(self, limits: Limits) -> "Session[Mode]":
        """Return a session with *limits* in the place of its own. Raises SettingsError, TypeError."""
        if not limits:
            return self
        return self.patient(attrs.evolve(self._patience, **read_limits(limits)))

    def urgent(self) -> "Session[Mode]":
        """Return a session that does not wait for the rate limit."""
        return self.patient(attrs.evolve(self._patience, urgent=True))

    def _adopt(self, patience: Patience) -> None:
        self._patience = patience
        self._bucket = self._gates.bucket(patience.rate_limit)
        self._breaker = self._gates.breaker(patience.circuit_breaker)

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
        request = self._written(route, body, timeout)
        return await self._persist(route, request, timeout, _replies.read, body=body)

    async def json(
        self,
        route: AnyRoute,
        query: Mapping[str, Json],
        body: Json,
    ) -> Json:
        """Call *route* with *query* and *body* as they are, and return the JSON it answers. Raises CallError."""
        request = self._as_given(route, query, body, None)
        return await self._persist(route, request, None, json_of)

    async def raw(self, route: AnyRoute, body: object = None) -> RawReply:
        """Do what `call` does, and return the answer as it came, also a refusal. Raises TransportFailed."""
        return await self._as_it_came(route, self._written(route, body, None), body)

    async def raw_json(
        self,
        route: AnyRoute,
        query: Mapping[str, Json],
        body: Json,
    ) -> RawReply:
        """Do what `json` does, and return the answer as it came, also a refusal. Raises TransportFailed."""
        request = self._as_given(route, query, body, None)
        return await self._as_it_came(route, request)

    async def _as_it_came(self, route: AnyRoute, request: Request, body: object = None) -> RawReply:
        attempts: list[Attempt] = []
        replies: list[Reply] = []

        def keep(route: AnyRoute, reply: Reply, clock: Callable[[], float]) -> Reply:
            replies.append(reply if reply.status in SUCCESS else self._masked(reply, body))
            return as_it_came(route, reply, clock)

        # A refusal was the last word: a fault of the transport after it would be raised in its place.
        with suppress(ApiError):
            await self._persist(route, request, None, keep, attempts, body)
        reply = replies[-1]
        return RawReply(
            status=reply.status, headers=reply.headers, body=reply.body, attempts=tuple(attempts)
        )

    # The hot path: what is not needed for a first try that ends well is not made for it.
    async def _persist(
        self,
        route: AnyRoute,
        request: Request,
        timeout: float | None,
        read: "Read[T]",
        told: list[Attempt] | None = None,
        body: object = None,
    ) -> T:
        waiter, patience, bucket, breaker = self.waiter, self._patience, self._bucket, self._breaker
        history = told
        error: CallError | None = None
        started = now = waiter.monotonic()
        ends = started + (patience.timeout if timeout is None else timeout)
        number = 0
        while (left := ends - now) > 0:
            begun, probing = now, False
            clear = breaker is None or breaker.circuit is CLEAR
            if not (clear and (bucket is None or bucket.take(now))):
                try:
                    begun, probing = await pass_gates(
                        waiter, bucket, breaker, now, ends, urgent=route.urgent or patience.urgent
                    )
                except (CircuitOpen, CallTimedOut) as held:
                    error = error or held
                    break
                left = ends - begun
            number += 1
            limit = min(left, patience.attempt_timeout)
            if limit != request.timeout:
                request = attrs.evolve(request, timeout=limit)
            reply: Reply | None = None
            try:
                reply = await self._transport.send(request)
                ended = waiter.monotonic()
                self._gates.meter.count(at=ended, took=ended - begun, failed=reply.status >= 400)
                if breaker is not None and breaker.circuit is not CLEAR and reply.status < 500:
                    breaker.tell(Event.SUCCESS, ended)
                if len(reply.body) <= _SOON_READ:
                    answer = read(route, reply, waiter.time)
                else:
                    answer = self._read_in_time(read, route, reply, ends)
                if noted:
                    self._gates.tally.take()
            except CallError as failed:
                error = failed
                self._hide(error, body, reply)
            except BaseException:
                if probing and breaker is not None:
                    breaker.tell(Event.NOTHING, waiter.monotonic())
                raise
            else:
                if told is not None or patience.on_attempt or _log.isEnabledFor(logging.DEBUG):
                    took = ended - begun
                    attempt = self._attempt(route, request, number, begun - now, took, reply)
                    self._tell(attempt, told)
                return answer
            if noted:
                self._gates.tally.take()
            ended = waiter.monotonic()
            error.resend_safe = _resend_safe(route, error)
            attempt = self._attempt(
                route, request, number, begun - now, ended - begun, reply, error
            )
            self._note(attempt, error, limit, ended)
            attempt = attrs.evolve(attempt, wait=self._wait_after(attempt, ended, ends))
            history = [] if history is None else history
            self._tell(attempt, history)
            if attempt.wait is None:
                break
            await waiter.sleep(attempt.wait)
            now = waiter.monotonic()
        raise self._given_up(route, error, tuple(history or ()), waiter.monotonic() - started)

    def _read_in_time(self, read: "Read[T]", route: AnyRoute, reply: Reply, ends: float) -> T:
        """Do what *read* does as long as there is time. Raises CallTimedOut."""
        waiter = self.waiter
        with suppress(Overdue), until(lambda: waiter.monotonic() >= ends):
            return read(route, reply, waiter.time)
        size = len(reply.body) / 2**20
        raise CallTimedOut(f"a reply of {size:.1f} MB came, and there was no time to read it")

    def _note(self, attempt: Attempt, error: CallError, limit: float, ended: float) -> None:
        """Tell meter and circuit of a try that failed; what arrived was told when it did."""
        if attempt.status is None:
            self._gates.meter.count(at=ended, took=attempt.seconds, failed=True)
        breaker = self._breaker
        if breaker is None or (attempt.status is not None and attempt.status < 500):
            return
        # Who is in a hurry and runs out of time proves nothing about the cloud; nor does who held all connections.
        hurried = limit < self._patience.attempt_timeout and attempt.seconds >= limit
        unasked = isinstance(error, NoFreeConnection) or _ends_the_same(error)
        if attempt.status is None and (hurried or unasked):
            breaker.tell(Event.NOTHING, ended)
        elif breaker.tell(Event.FAULT, ended, f"{attempt.fault}: {attempt.message}"):
            _log.warning(
                "%s: calls are held back for %g s, since none has got through: %s",
                attempt.operation,
                breaker.policy.rest,
                attempt.message,
                extra=_facts(attempt, attempt.seconds),
            )

    def _wait_after(self, attempt: Attempt, now: float, ends: float) -> float | None:
        """Seconds until the next try, None if there is to be none."""
        policy, breaker = self._patience.retry, self._breaker
        wait = policy.wait_after(attempt)
        if wait is None or now + wait >= ends:
            return None
        if breaker is not None and breaker.refuses(now + wait):
            return None
        return wait if self._gates.grant_retry(policy, now) else None

    def _given_up(
        self, route: AnyRoute, error: CallError | None, history: tuple[Attempt, ...], elapsed: float
    ) -> CallError:
        if error is None:
            error = CallTimedOut("the deadline had passed before anything was sent")
            error.resend_safe = True
        error.operation = route.name
        error.history = history
        if history and error.request_id is None:
            error.request_id = history[-1].request_id
        error.attempts = len(history)
        error.elapsed = elapsed
        if len(history) > 1 and may_repeat(history[-1]):
            _log.warning(
                "%s: given up after %d attempts in %.1f s: %s",
                route.name,
                len(history),
                elapsed,
                error.message,
                extra=_facts(history[-1], elapsed),
            )
        return error

    def _attempt(
        self,
        route: AnyRoute,
        request: Request,
        number: int,
        held: float,
        seconds: float,
        reply: Reply | None,
        error: CallError | None = None,
    ) -> Attempt:
        return Attempt(
            number=number,
            operation=route.name,
            method=route.method,
            url=request.url.partition("?")[0],
            started=self.waiter.time() - seconds,
            held=held,
            seconds=seconds,
            status=reply.status if reply else None,
            fault=type(error).__name__ if error else "",
            message=error.message if error else "",
            request_id=_id_of(reply, error),
            retry_after=error.retry_after if error else None,
            sent=not isinstance(error, ConnectFailed),
            repeatable=route.resend is not Resend.NEVER and not _ends_the_same(error),
        )

    def _tell(self, attempt: Attempt, history: list[Attempt] | None) -> None:
        if history is not None:
            history.append(attempt)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s", _sentence(attempt), extra=_facts(attempt, attempt.seconds))
        for hook in self._patience.on_attempt:
            try:
                hook(attempt)
            except Exception:  # noqa: BLE001 - a watcher that fails must not break what it watches
                _log.exception("%s: a hook failed: %r", attempt.operation, hook)

    def _masked(self, reply: Reply, body: object) -> Reply:
        """Take our secrets out of a refusal that is handed on as it came: it is shown like an error."""
        mask = self._mask(body)
        headers = {name: mask.text(value) for name, value in reply.headers.items()}
        return attrs.evolve(reply, headers=headers, body=mask.data(reply.body))

    def _mask(self, body: object) -> Mask:
        return Mask((self._key, *secrets_in(body), *proxy_secrets()))

    def _hide(self, error: CallError, body: object, reply: Reply | None) -> None:
        """Take our secrets out of what an error says, before anybody is told."""
        hide(error, self._mask(body))
        if reply is not None:
            # Where it was read, local variables hold the reply as it came, and a report may show those of any frame.
            error.__traceback__ = error.__context__ = None

    def _written(self, route: AnyRoute, body: object, timeout: float | None) -> Request:
        """The request that *body* makes: it is the query of a GET, the JSON of anything else."""
        written: Mapping[str, Any] = {} if body is None else cloud_converter.unstructure(body)
        if route.method == "GET":
            return self._request(route, written, b"", timeout)
        return self._request(route, {}, _json_bytes(written), timeout)

    def _as_given(
        self, route: AnyRoute, query: object, body: Json, timeout: float | None
    ) -> Request:
        if not isinstance(query, Mapping):
            raise _unsendable("query", "must be a mapping of names to values")
        content = b"" if body is None else _json_bytes(body)
        return self._request(route, cast("Mapping[str, Any]", query), content, timeout)

    # Never content and headers by themselves: as locals of a frame they would show what a request's repr hides.
    def _request(
        self, route: AnyRoute, query: Mapping[str, Any], content: bytes, timeout: float | None
    ) -> Request:
        longest = self._patience.attempt_timeout
        return Request(
            method=route.method,
            url=self._url(route, query),
            headers=self._headers,
            content=content,
            timeout=longest if timeout is None else min(longest, timeout),
        )

    def _url(self, route: AnyRoute, query: Mapping[str, Any]) -> str:
        url = self._base + route.url
        if not query:
            return url
        given = {name: value for name, value in query.items() if value is not None}
        return f"{url}?{_in_url(given)}" if given else url


def _in_url(query: Mapping[str, Any]) -> str:
    pairs = [(name, _in_query(name, value)) for name, value in query.items()]
    try:
        return urlencode(pairs, quote_via=quote)
    except UnicodeError:
        problem = "holds half of a surrogate pair, which no address can hold"
    raise _unsendable("query", problem)


def _json_bytes(value: object) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        problem = f"cannot be written as JSON: {error}"
    raise _unsendable("body", problem)


def _in_query(name: str, value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_one_in_query(name, one) for one in cast(list[object], value))
    return _one_in_query(name, value)


def _one_in_query(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _unsendable(f"query.{name}", "must be text, a number, a boolean or a list of such")


def _unsendable(field: str, problem: str) -> ValidationError:
    detail = ValidationErrorDetail(field=field, message=problem)
    return ValidationError("this request cannot be sent", [detail])


def _id_of(reply: Reply | None, error: CallError | None) -> str | None:
    if error is not None:
        return error.request_id
    return request_id(reply.headers) if reply else None


def _ends_the_same(error: CallError | None) -> bool:
    """Whether another try would bring the same reply, which cannot be read."""
    return isinstance(error, UnexpectedReply) or (
        isinstance(error, TransportFailed) and error.same_again
    )


def _resend_safe(route: AnyRoute, error: CallError) -> bool:
    if route.resend is not Resend.NEVER or isinstance(error, ConnectFailed):
        return True
    # A refusal in a 200 is not proof enough that nothing was made.
    return isinstance(error, ApiError) and error.status >= 400 and not _may_have_happened(error)


def _may_have_happened(error: ApiError) -> bool:
    return isinstance(error, ServerFailed) or error.status >= 500


def _sentence(attempt: Attempt) -> str:
    came = attempt.status or "no reply"
    said = f": {attempt.message}" if attempt.fault else ""
    then = "" if attempt.wait is None else f"; trying again in {attempt.wait:.2f} s"
    return f"{attempt.operation}: attempt {attempt.number}: {came} in {attempt.seconds:.3f} s{said}{then}"


def _facts(attempt: Attempt, elapsed: float) -> dict[str, object]:
    return {
        "operation": attempt.operation,
        "attempt": attempt.number,
        "status": attempt.status,
        "elapsed": elapsed,
        "request_id": attempt.request_id,
    }
