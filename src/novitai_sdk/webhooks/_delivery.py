"""Delivering webhooks: one attempt of a job is one request, and a policy says what follows from it."""

import json
import random
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from .._convert import record_converter
from ..cloud._refusals import read_retry_after
from ..errors import CallTimedOut, TransportFailed
from ..jobs import Done, GiveUp, NewJob, Outcome, Retry, new_job
from ..models import (
    JobPriority,
    JobType,
    Json,
    SendWebhookJobPayload,
    WebhookEvent,
)
from ._event import message_id, to_body
from ._headers import check_headers
from ._left_alone import SLOW_DOWN
from ._port import WebhookReply

__all__ = ["SCHEDULE", "DeliveryPolicy", "webhook_job"]

SCHEDULE: Final = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Seconds to wait after each failed attempt: the schedule Standard Webhooks 1.0 suggests, three days in all."""

_DAY: Final = 86400.0
_A_MINUTE: Final = 60.0
_SHOWN: Final = 2000


def a_fifth(wait: float) -> float:
    """Spread a wait by a fifth in both directions."""
    return wait * random.uniform(0.8, 1.2)


@attrs.frozen(kw_only=True)
class DeliveryPolicy:
    """What follows from an attempt.

    2xx is success. 410 is final: the endpoint is gone (Standard Webhooks 1.0). A redirect is a failure and is not
    followed. Everything else is tried again, also other 4xx: receivers are often half deployed. ``Retry-After`` counts
    within once and twice the scheduled wait, and never beyond a day; spreading only lengthens it, as it does the minute
    that a receiver is left alone which has too much to do.
    """

    schedule: tuple[float, ...] = SCHEDULE
    spread: Callable[[float], float] = a_fifth

    def after_reply(self, number: int, reply: WebhookReply, *, now: float) -> Outcome:
        """Return what follows from *reply* to attempt *number* (1 for the first)."""
        if 200 <= reply.status < 300:
            return Done()
        said = _printable(reply.body[:_SHOWN])
        error = (
            f"the receiver answered {reply.status}: {said}"
            if said
            else f"the receiver answered {reply.status}"
        )
        if reply.status == 410:
            return GiveUp(error=f"{error} (the endpoint is gone)")
        asked = read_retry_after(reply.retry_after, now=now)
        return Retry(error=error, after=self.wait(number, asked, slow=reply.status in SLOW_DOWN))

    def after_failure(self, number: int, error: TransportFailed) -> Outcome:
        """Return what follows from an attempt without an answer."""
        return Retry(
            error=str(error), after=self.wait(number, None, slow=isinstance(error, CallTimedOut))
        )

    def wait(self, number: int, asked: float | None, *, slow: bool) -> float:
        """Seconds until the next attempt after attempt *number*.

        >>> DeliveryPolicy(spread=float).wait(2, 400.0, slow=False)
        400.0
        """
        scheduled = self.schedule[min(number, len(self.schedule)) - 1] if self.schedule else 0.0
        least = _A_MINUTE if slow else 0.0
        if asked is not None:
            least = max(least, min(asked, 2 * scheduled, _DAY))
        return self.at_least(least, min(max(scheduled, least), _DAY))

    def at_least(self, least: float, wait: float = 0.0) -> float:
        """Spread *wait*, by default *least* itself, without going below *least*."""
        spread = self.spread(max(wait, least))
        # Mirrored and not cut off: all who were turned away at once would come back at once.
        return spread if spread >= least else 2 * least - spread


def _printable(said: bytes) -> str:
    # It goes into logs and onto terminals: a stranger's line break would begin a log record of its own.
    text = said.decode("utf-8", "replace")
    return "".join(one if one.isprintable() else " " for one in text).strip()


def webhook_job(
    event: WebhookEvent | Json, url: str, *, now: float, headers: Mapping[str, str] | None = None
) -> NewJob:
    """Return the job that delivers *event* to *url*, with *headers* beside those that sign it.

    *now* is seconds since 1970. Raises ValidationError for a payload that is not JSON or larger than 256 kB, and for
    headers that cannot be sent.

    The body is made here, once: the bytes that are stored are the bytes that are signed and sent, whatever a later
    version would make of the event. The message id is made here too, so that every attempt repeats it.
    """
    check_headers(headers or {})
    body = to_body(event)
    payload = SendWebhookJobPayload(
        url=url,
        payload=json.loads(body),
        headers=headers,
        extra={"messageId": message_id(now), "body": body},
    )
    return new_job(
        JobType.SEND_WEBHOOK,
        record_converter.unstructure(payload),
        now=now,
        priority=JobPriority.NORMAL,
        max_attempts=len(SCHEDULE) + 1,
    )
