"""When to try again, and after how long: a policy answers questions and never sleeps."""

from collections.abc import Callable
from typing import Any, Final

import attrs

from .models._base import Model

__all__ = [
    "Attempt",
    "Hook",
    "RetryPolicy",
    "at_least",
    "exactly",
    "full_jitter",
    "may_repeat",
    "seconds",
]


def full_jitter(longest: float) -> float:
    """Spread a wait evenly between nothing and *longest* seconds: who failed together comes back apart."""
    import random  # not cheap to import, and who never waits needs none

    return random.uniform(0.0, longest)


def exactly(longest: float) -> float:
    """Do not spread a wait: for tests, and for those who must know the moment."""
    return longest


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Attempt(Model):
    """One try of an operation: what was asked, what came of it, and how long that took."""

    number: int
    """1 for the first try."""

    operation: str = ""
    """Name of the operation, such as ``instances.create``."""

    method: str = ""
    url: str = ""
    """Where to, without the query: it may hold what is nobody else's business."""

    started: float = 0.0
    """When it began: seconds since 1970-01-01 UTC."""

    seconds: float = 0.0
    """How long it took."""

    status: int | None = None
    """HTTP status, or None when no reply arrived."""

    fault: str = ""
    """Name of the error it ended with, such as ``ServerFailed``; empty when it ended well."""

    message: str = ""
    """What that error says."""

    request_id: str | None = None
    """The cloud's id of the request, where one came."""

    retry_after: float | None = None
    """Seconds the server asked to wait."""

    sent: bool = True
    """False when it is proven that nothing was sent."""

    repeatable: bool = False
    """Whether doing it twice is the same as doing it once."""

    held: float = 0.0
    """Seconds it waited for its turn before it began, by the client's own rate limit."""

    wait: float | None = None
    """Seconds until the next try; None when there is none."""


Hook = Callable[[Attempt], object]
"""Is told of every attempt when it has ended, in the thread or task that made it: it must not block."""


_LONGEST: Final = 365 * 86_400.0


def seconds(_: object, field: "attrs.Attribute[float]", value: float) -> None:
    """Raise ValueError unless *value* is a number of seconds, a year at most."""
    # Bounded above as well: infinity spread evenly is no number any more.
    if not 0 <= value <= _LONGEST:
        raise ValueError(f"{field.name} must be a number of seconds from 0 to a year, not {value}")


def at_least(least: int) -> Callable[[Any, "attrs.Attribute[int]", int], Any]:
    """Return a validator of whole numbers, *least* or more."""
    return attrs.validators.and_(attrs.validators.instance_of(int), attrs.validators.ge(least))


def _share(_: object, field: "attrs.Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{field.name} must be a share from 0 to 1, not {value}")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RetryPolicy(Model):
    """Exponential backoff with jitter, bounded in tries and in time.

    A call is tried again when nothing was sent, when the server refused it unseen (429), and, if doing it twice
    does no harm, when no reply arrived or the server failed (5xx). Times are in seconds, and at most
    a year. Raises ValueError or TypeError for wrong values.

    >>> policy = RetryPolicy(spread=exactly)
    >>> policy.wait_after(Attempt(number=2, status=503, repeatable=True))
    1.0
    >>> policy.wait_after(Attempt(number=1, status=503, repeatable=False)) is None
    True
    """

    attempts: int = attrs.field(default=4, validator=at_least(1))
    """Tries in all, the first included."""

    first_wait: float = attrs.field(default=0.5, validator=seconds)
    longest_wait: float = attrs.field(default=20.0, validator=seconds)

    longest_retry_after: float = attrs.field(default=60.0, validator=seconds)
    """A server that asks for more is not waited for: the error is raised, with what it asked."""

    spread: Callable[[float], float] = full_jitter

    budget: float = attrs.field(default=0.2, validator=_share)
    """Retries a minute as a share of calls, over the whole client: an outage is not multiplied."""

    budget_floor: int = attrs.field(default=10, validator=at_least(0))
    """Retries a minute that are within the budget beside that share."""

    def wait_after(self, attempt: Attempt) -> float | None:
        """Seconds until the next try, or None to give up."""
        if attempt.number >= self.attempts or not may_repeat(attempt):
            return None
        if attempt.retry_after is not None:
            return attempt.retry_after if attempt.retry_after <= self.longest_retry_after else None
        # The exponent is bounded before it is used: 2.0 ** 2000 is an OverflowError.
        doublings = min(attempt.number - 1, 60)
        return self.spread(min(self.longest_wait, self.first_wait * 2.0**doublings))


def may_repeat(attempt: Attempt) -> bool:
    if not attempt.sent or attempt.status == 429:
        return True
    return attempt.repeatable and (attempt.status is None or attempt.status >= 500)
