"""Delivering webhooks: one attempt of a job is one request, and a policy says what follows from it."""

import json
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from .._convert import record_converter
from .._waiting import Clock
from ..cloud._refusals import read_retry_after
from ..errors import TransportFailed
from ..jobs import Done, GiveUp, Handler, JobContext, NewJob, Outcome, Retry, new_job
from ..models import (
    Job,
    JobPriority,
    JobType,
    Json,
    Secret,
    SendWebhookJobPayload,
    WebhookEvent,
)
from ._event import message_id, to_body
from ._port import Sending, TargetRefused, WebhookReply
from ._signature import sign

__all__ = ["SCHEDULE", "DeliveryPolicy", "delivery_handler", "webhook_job"]

_log = logging.getLogger("novitai_sdk")

USER_AGENT: Final = "novitai-sdk-webhooks/1"

SCHEDULE: Final = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Seconds to wait after each failed attempt: the schedule Standard Webhooks 1.0 suggests, three days in all."""

_DAY: Final = 86400.0
_SHOWN: Final = 2000
# The receiver, or what stands before it, is overloaded: it needs a minute.
_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})


def a_fifth(wait: float) -> float:
    """Spread a wait by a fifth in both directions."""
    return wait * random.uniform(0.8, 1.2)


@attrs.frozen(kw_only=True)
class DeliveryPolicy:
    """What follows from an attempt.

    2xx is success. 410 is final: the endpoint is gone (Standard Webhooks 1.0). A redirect is a failure and is not
    followed. Everything else is tried again, also other 4xx: receivers are often half deployed. ``Retry-After`` counts
    within once and twice the scheduled wait, and never beyond a day.
    """

    schedule: tuple[float, ...] = SCHEDULE
    spread: Callable[[float], float] = a_fifth

    def after_reply(self, number: int, reply: WebhookReply, *, now: float) -> Outcome:
        """Return what follows from *reply* to attempt *number* (1 for the first)."""
        if 200 <= reply.status < 300:
            return Done()
        said = reply.body[:_SHOWN].decode("utf-8", "replace")
        error = (
            f"the receiver answered {reply.status}: {said}"
            if said
            else f"the receiver answered {reply.status}"
        )
        if reply.status == 410:
            return GiveUp(error=f"{error} (the endpoint is gone)")
        asked = read_retry_after(reply.retry_after, now=now)
        return Retry(error=error, after=self.wait(number, asked, slow=reply.status in _SLOW_DOWN))

    def after_failure(self, number: int, error: TransportFailed) -> Outcome:
        """Return what follows from an attempt without an answer."""
        return Retry(error=str(error), after=self.wait(number, None, slow=True))

    def wait(self, number: int, asked: float | None, *, slow: bool) -> float:
        """Seconds until the next attempt after attempt *number*.

        >>> DeliveryPolicy(spread=float).wait(2, 400.0, slow=False)
        400.0
        """
        scheduled = self.schedule[min(number, len(self.schedule)) - 1] if self.schedule else 0.0
        wait = scheduled if asked is None else min(max(asked, scheduled), 2 * scheduled)
        wait = max(wait, asked or 0.0, 60.0) if slow and number > 1 else wait
        return self.spread(min(wait, _DAY))


def webhook_job(
    event: WebhookEvent | Json, url: str, *, now: float, headers: dict[str, str] | None = None
) -> NewJob:
    """Return the job that delivers *event* to *url*. Raises ValidationError for a payload over 256 kB.

    The body is made here, once: the bytes that are stored are the bytes that are signed and sent, whatever a later
    version would make of the event. The message id is made here too, so that every attempt repeats it.
    """
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


def delivery_handler(
    sender: Sending,
    secrets: Callable[[], Sequence[Secret]],
    clock: Clock,
    policy: DeliveryPolicy | None = None,
) -> Handler:
    """Return the handler of ``send_webhook`` jobs.

    *secrets* is asked at every attempt: a secret is never stored with a job, and a rotation takes effect at once.
    """
    judge = policy or DeliveryPolicy()

    async def send(job: Job, context: JobContext) -> Outcome:
        body = str(job.payload["body"]).encode()
        now = clock.time()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            **_extra_headers(job),
            **_signed(body, str(job.payload["messageId"]), secrets(), now),
        }
        try:
            reply = await sender.post(str(job.payload["url"]), body, headers)
        except TargetRefused as error:
            outcome: Outcome = GiveUp(error=str(error))
        except TransportFailed as error:
            outcome = judge.after_failure(job.attempts, error)
        else:
            outcome = judge.after_reply(job.attempts, reply, now=clock.time())
        if isinstance(outcome, GiveUp) or (isinstance(outcome, Retry) and context.last_attempt):
            _log.warning(
                "webhook %s was not delivered: %s", job.payload["messageId"], outcome.error
            )
        return outcome

    return send


def _extra_headers(job: Job) -> dict[str, str]:
    given = job.payload.get("headers")
    return (
        {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    )


def _signed(body: bytes, id: str, secrets: Sequence[Secret], now: float) -> dict[str, str]:
    if not secrets:
        # Still an id and a time, so that a receiver can drop what it has seen.
        return {"webhook-id": id, "webhook-timestamp": str(int(now))}
    return sign(body, secrets=secrets, message_id=id, timestamp=int(now))
