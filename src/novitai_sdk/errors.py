"""What can go wrong, and what is known when it does.

::

    NovitaError
    ├── SettingsError              wrong settings, every one of them named
    ├── ClientClosed               the client was used after it was closed
    ├── ValidationError            bad input, refused before any network call
    ├── CallError                  one operation of the cloud did not end well
    │   ├── TransportFailed        no whole reply arrived
    │   │   ├── ConnectFailed      nothing was sent, so nothing happened
    │   │   │   ├── CircuitOpen    held back, for no call has got through of late
    │   │   │   └── NoFreeConnection   all connections of this client were in use until the deadline
    │   │   └── CallTimedOut       the deadline passed (also a TimeoutError)
    │   ├── UnexpectedReply        a reply arrived that is not what the contract says
    │   └── ApiError               a reply arrived, and it was a refusal
    │       ├── Unauthorized       no API key, or a wrong one
    │       ├── PermissionDenied   this account may not do that
    │       ├── NotFound           no such thing
    │       ├── InvalidState       not now: the thing is in another state
    │       ├── NoCapacity         no free GPU for this product or cluster
    │       ├── RateLimited        too many calls; knows how long to wait
    │       ├── InsufficientBalance    the account has to be topped up first
    │       ├── RequestRefused     a parameter the cloud does not accept
    │       └── ServerFailed       a fault on the cloud's side
    ├── NoSuitableProduct          nothing to rent matches what was asked
    ├── InstanceError              carries the instance id and its last sight
    │   ├── InstanceNotFound   no instance of that id
    │   ├── InstanceStateError     this instance cannot do that now
    │   ├── InstanceFailed         it will not become ready
    │   ├── WaitTimedOut           not ready in time (also a TimeoutError)
    │   │   └── CreateOutcomeUnknown   nobody knows yet whether the machine exists
    │   └── CleanupFailed          it may still bill
    ├── JobError                   the task runner and its store
    └── SignatureInvalid           a webhook that is not what it claims to be
        └── AlreadyReceived        it is, but it was accepted before: answer that it arrived
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

    from ._retry import Attempt
    from .models import (
        InstanceDetails,
        ValidationErrorDetail,
    )

__all__ = [
    "AlreadyReceived",
    "ApiError",
    "CallError",
    "CallTimedOut",
    "CircuitOpen",
    "CleanupFailed",
    "ClientClosed",
    "ConnectFailed",
    "CreateOutcomeUnknown",
    "InstanceError",
    "InstanceFailed",
    "InstanceNotFound",
    "InstanceStateError",
    "InsufficientBalance",
    "InvalidState",
    "JobError",
    "NoCapacity",
    "NoFreeConnection",
    "NoSuitableProduct",
    "NotFound",
    "NovitaError",
    "PermissionDenied",
    "RateLimited",
    "RequestRefused",
    "ServerFailed",
    "SettingsError",
    "SignatureInvalid",
    "TransportFailed",
    "Unauthorized",
    "UnexpectedReply",
    "ValidationError",
    "WaitTimedOut",
]


def _rebuild(
    cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class NovitaError(Exception):
    """The root of every error this library raises on purpose."""

    @property
    def code(self) -> str | None:
        """The service contract's word for it, such as ``REQUEST_TIMEOUT``; None where the contract has none.

        For whoever has to answer a request of their own with it; to tell errors apart, their classes say more.
        """
        return next((_CODES[kind] for kind in type(self).__mro__ if kind in _CODES), None)

    @property
    def retryable(self) -> bool:
        """Whether the same may succeed later. Not that it is safe to repeat: see ``CallError.resend_safe``."""
        return isinstance(self, _PASSING)

    # Exceptions are pickled by calling their class with `args`, which keyword-only fields do not survive.
    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class SettingsError(NovitaError):
    """One or more settings are wrong; ``problems`` names each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("; ".join(self.problems))


class ClientClosed(NovitaError):
    """The client was used after it was closed."""

    def __init__(self, message: str = "this client is closed; make a new one") -> None:
        super().__init__(message)


class ValidationError(NovitaError, ValueError):
    """Bad input. ``details`` holds every problem: field, message and value."""

    def __init__(self, message: str, details: "Sequence[ValidationErrorDetail]" = ()) -> None:
        self.message: str = message
        self.details: tuple[ValidationErrorDetail, ...] = tuple(details)
        lines = "".join(f"\n  {one.field or '(body)'}: {one.message}" for one in self.details)
        super().__init__(message + lines)


class CallError(NovitaError):
    """One operation of the cloud did not end well.

    Attributes:
        operation: Name of the operation, such as ``instances.create``.
        attempts: How many times it was tried.
        history: What came of each try, and how long was waited after it.
        elapsed: Seconds from the first try to this error.
        resend_safe: Whether trying again cannot do the same thing twice.
        reason: The cloud's word for it, such as ``INSUFFICIENT_RESOURCE``, or None.
        metadata: What else the cloud said, as text; empty where it said nothing.
        request_id: The cloud's id of the last request, where one came.
        retry_after: Seconds the cloud asked to wait, or None.
        instance_id: The instance it is about, where one of ``client.instances`` was asked for; or None.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        operation: str = "",
        attempts: int = 1,
        elapsed: float = 0.0,
        resend_safe: bool = False,
        history: "Sequence[Attempt]" = (),
    ) -> None:
        self.message: str = message
        self.history: tuple[Attempt, ...] = tuple(history)
        self.operation: str = operation
        self.attempts: int = attempts
        self.elapsed: float = elapsed
        self.resend_safe: bool = resend_safe
        self.reason: str | None = reason
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.request_id: str | None = request_id
        self.retry_after: float | None = retry_after
        self.instance_id: str | None = None
        super().__init__(message)

    @property
    def status(self) -> int | None:
        """HTTP status of the last reply, None where none came."""
        return None

    def __str__(self) -> str:
        tries = (
            f" (after {self.attempts} attempts, {self.elapsed:.1f} s)" if self.attempts > 1 else ""
        )
        return (
            f"{self.operation}: {self.message}{tries}" if self.operation else self.message + tries
        )


class TransportFailed(CallError):
    """No whole reply arrived; what the network layer raised is the cause.

    Unless it is a :class:`ConnectFailed`, the request may have had its effect.

    Attributes:
        same_again: Whether another try would end the same, as with a reply that is larger than what is read.
    """

    def __init__(self, message: str, *, same_again: bool = False, **context: Any) -> None:
        self.same_again: bool = same_again
        super().__init__(message, **context)

    @property
    def retryable(self) -> bool:
        """Whether the same may succeed later; not where the same reply would come again."""
        return not self.same_again


class ConnectFailed(TransportFailed):
    """No connection could be made, so nothing was sent and nothing happened."""


class CircuitOpen(ConnectFailed):
    """Nothing was sent, since no call of this client has got through of late; see `novitai_sdk.CircuitBreaker`.

    Attributes:
        since: The first of the faults in a row, UTC.
        why: The last of them.
        probe_at: When a call will be let through to see, UTC; in the past while one is under way.
    """

    def __init__(
        self, message: str, *, since: datetime, why: str, probe_at: datetime, **context: Any
    ) -> None:
        self.since: datetime = since
        self.why: str = why
        self.probe_at: datetime = probe_at
        super().__init__(message, **context)


class NoFreeConnection(ConnectFailed):
    """Nothing was sent, since all connections of this client were in use until the deadline.

    It says nothing about the cloud, and opens no circuit.
    """


class CallTimedOut(TransportFailed, TimeoutError):
    """The deadline of the operation passed before a whole reply arrived."""


class UnexpectedReply(CallError):
    """A reply arrived that is not what the contract says; ``problems`` has one line per path.

    Attributes:
        problems: What is wrong with it.
    """

    def __init__(
        self, message: str, *, status: int = 0, problems: Sequence[str] = (), **context: Any
    ) -> None:
        self._status = status
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__(message, **context)

    @property
    def status(self) -> int:
        """HTTP status of the reply."""
        return self._status

    def __str__(self) -> str:
        return super().__str__() + "".join(f"\n  {line}" for line in self.problems)


class ApiError(CallError):
    """The cloud refused."""

    def __init__(self, message: str, *, status: int = 0, **context: Any) -> None:
        self._status = status
        super().__init__(message, **context)

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._status

    def __str__(self) -> str:
        facts = [f"HTTP {self.status}" if self.status else "", self.reason or ""]
        if self.request_id:
            facts.append(f"request {self.request_id}")
        named = ", ".join(fact for fact in facts if fact)
        return f"{super().__str__()} [{named}]" if named else super().__str__()


class Unauthorized(ApiError):
    """The API key is absent or wrong."""


class PermissionDenied(ApiError):
    """The account may not do this."""

    @property
    def code(self) -> str | None:
        """``RESOURCE_CONSTRAINTS`` where a quota or a limit is in the way, ``ACCESS_FORBIDDEN`` otherwise."""
        said = self.message.lower()
        constrained = any(word in said for word in ("insufficient", "quota", "limit"))
        return "RESOURCE_CONSTRAINTS" if constrained else super().code


class NotFound(ApiError):
    """No such thing; the cloud says so with 404 and, more often, with 400."""

    @property
    def code(self) -> str | None:
        """``INSTANCE_NOT_FOUND``, ``TEMPLATE_NOT_FOUND``, ``REGISTRY_AUTH_NOT_FOUND``, or ``NOT_FOUND`` for others."""
        if self.reason == "TEMPLATE_NOT_FOUND":
            return self.reason
        return _NOT_FOUND_AT.get(self.operation.partition(".")[0], super().code)


class InvalidState(ApiError):
    """The thing is in a state that does not allow this; read it again, then decide."""

    @property
    def code(self) -> str | None:
        """``RESOURCE_CONFLICT`` for a 409, ``BAD_REQUEST`` otherwise."""
        return "RESOURCE_CONFLICT" if self.status == 409 else super().code


class NoCapacity(ApiError):
    """No free GPU for this product or cluster; try later, or another one."""


class RateLimited(ApiError):
    """Too many calls, or a quota is used up; ``retry_after`` says how long to wait if the cloud did."""

    def __str__(self) -> str:
        wait = "" if self.retry_after is None else f"; wait {self.retry_after:g} s"
        return super().__str__() + wait


class InsufficientBalance(ApiError):
    """The account has to be topped up first."""


class RequestRefused(ApiError):
    """The cloud does not accept a parameter; ``metadata`` may name it."""

    @property
    def code(self) -> str | None:
        """``VALIDATION_ERROR`` for a 422, ``BAD_REQUEST`` otherwise."""
        return "VALIDATION_ERROR" if self.status == 422 else super().code


class ServerFailed(ApiError):
    """A fault on the cloud's side; what was asked may have happened all the same."""


class NoSuitableProduct(NovitaError):
    """Nothing to rent matches what was asked.

    Attributes:
        product_name: The name that was asked for.
        region: The region it was asked in.
        candidates: Products of that name, with the reason each was passed over; where nothing has that name, the
            names there are.
        offered: Whether there is a product of that name in that region, though it cannot be had now.
    """

    def __init__(
        self,
        message: str,
        *,
        product_name: str,
        region: str,
        candidates: Sequence[str] = (),
        offered: bool = False,
    ) -> None:
        self.offered: bool = offered
        self.product_name: str = product_name
        self.region: str = region
        self.candidates: tuple[str, ...] = tuple(candidates)
        super().__init__(message + "".join(f"\n  {line}" for line in self.candidates))

    @property
    def code(self) -> str | None:
        """``NO_AVAILABLE_PRODUCTS`` where the product is offered, ``PRODUCT_NOT_FOUND`` where it is not."""
        return "NO_AVAILABLE_PRODUCTS" if self.offered else super().code


class InstanceError(NovitaError):
    """Something about one instance.

    Attributes:
        instance_id: The id this library gave it; the machine carries it as ``NOVITAI_INSTANCE_ID``.
        last: The last sight of it, or None.
        phase: What it was doing, in the cloud's word where there is one, such as ``pulling``.
        elapsed: Seconds since the wait, or the instance, began.
        cost: USD it has cost so far as far as is known, or None.
        reason: Why, in one sentence, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        instance_id: str,
        last: "InstanceDetails | None" = None,
        phase: str | None = None,
        elapsed: float | None = None,
        cost: "Decimal | None" = None,
        reason: str | None = None,
    ) -> None:
        self.message: str = message
        self.instance_id: str = instance_id
        self.last: InstanceDetails | None = last
        self.phase: str | None = phase
        self.elapsed: float | None = elapsed
        self.cost: Decimal | None = cost
        self.reason: str | None = reason
        super().__init__(message)


class InstanceNotFound(InstanceError):
    """No instance of that id: neither managed here nor known to the cloud."""


class InstanceStateError(InstanceError):
    """The instance cannot do that in its present status.

    Attributes:
        action: What it cannot do: ``start``, ``stop`` or ``delete``.
    """

    def __init__(self, message: str, *, action: str = "", **facts: Any) -> None:
        self.action: str = action
        super().__init__(message, **facts)

    @property
    def code(self) -> str | None:
        """``INSTANCE_NOT_STARTABLE``, ``INSTANCE_NOT_STOPPABLE`` or ``INSTANCE_NOT_DELETABLE``."""
        return _NOT_ABLE.get(self.action)


class InstanceFailed(InstanceError):
    """The instance will not become ready; ``reason`` says why."""

    def __init__(self, message: str, *, code: str | None = None, **facts: Any) -> None:
        self._code = code
        super().__init__(message, **facts)

    @property
    def code(self) -> str | None:
        """The word for what its create was refused for, such as ``INSUFFICIENT_RESOURCE``.

        ``STARTUP_TIMEOUT`` where it took longer than ``max_wait``, and ``STARTUP_FAILED`` for all else.
        """
        return self._code or super().code

    @property
    def retryable(self) -> bool:
        """Whether a create of another one may succeed later, as where nothing was free."""
        return self._code in _PASSING_CODES


class WaitTimedOut(InstanceError, TimeoutError):
    """The instance was not ready in time. It goes on existing, and billing, until it is deleted."""


class CreateOutcomeUnknown(WaitTimedOut):
    """The answer to a create was lost and the machine has not been seen: it may exist and bill.

    A job goes on looking for it; nothing is sent again before its absence is proven.
    """


class CleanupFailed(InstanceError):
    """A rented instance could not be shown to be gone: it may still bill."""


class JobError(NovitaError):
    """The task runner or its store could not do what was asked."""


class SignatureInvalid(NovitaError):
    """A webhook that is not what it claims to be; ``reason`` says why.

    The reason is for the receiver's log, not for the answer to a stranger.
    """

    def __init__(self, reason: str) -> None:
        self.reason: str = reason
        super().__init__(reason)


class AlreadyReceived(SignatureInvalid):
    """A webhook whose signature is valid and whose id was accepted before: nothing is left to do.

    It is a replay, or it was sent again because the first answer was lost. Answer it as the first time, for a sender
    that is refused goes on sending.
    """


_CODES: "Mapping[type[BaseException], str]" = {
    ValidationError: "VALIDATION_ERROR",
    TransportFailed: "NETWORK_ERROR",
    CircuitOpen: "CIRCUIT_BREAKER_OPEN",
    CallTimedOut: "REQUEST_TIMEOUT",
    UnexpectedReply: "INVALID_RESPONSE",
    ApiError: "UNKNOWN_ERROR",
    Unauthorized: "AUTHENTICATION_FAILED",
    PermissionDenied: "ACCESS_FORBIDDEN",
    NotFound: "NOT_FOUND",
    InvalidState: "BAD_REQUEST",
    NoCapacity: "INSUFFICIENT_RESOURCE",
    RateLimited: "RATE_LIMIT_EXCEEDED",
    InsufficientBalance: "RESOURCE_CONSTRAINTS",
    RequestRefused: "BAD_REQUEST",
    ServerFailed: "SERVER_ERROR",
    NoSuitableProduct: "PRODUCT_NOT_FOUND",
    InstanceNotFound: "INSTANCE_NOT_FOUND",
    InstanceFailed: "STARTUP_FAILED",
    WaitTimedOut: "STARTUP_TIMEOUT",
    CleanupFailed: "DELETE_FAILED",
}
_NOT_FOUND_AT: Mapping[str, str] = {
    "instances": "INSTANCE_NOT_FOUND",
    "templates": "TEMPLATE_NOT_FOUND",
    "registries": "REGISTRY_AUTH_NOT_FOUND",
}
_NOT_ABLE: Mapping[str, str] = {
    "start": "INSTANCE_NOT_STARTABLE",
    "stop": "INSTANCE_NOT_STOPPABLE",
    "delete": "INSTANCE_NOT_DELETABLE",
}
_PASSING = (TransportFailed, RateLimited, ServerFailed, NoCapacity, NoSuitableProduct, WaitTimedOut)
_PASSING_CODES = frozenset(code for kind, code in _CODES.items() if issubclass(kind, _PASSING))
