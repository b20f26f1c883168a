"""The handler of ``send_webhook`` jobs: one attempt of a job is one request."""

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from .._waiting import Clock
from ..errors import TransportFailed, ValidationError
from ..jobs import GiveUp, HandBack, Handler, JobContext, Outcome, Retry
from ..models import Job, Secret
from ._delivery import DeliveryPolicy
from ._endpoints import Endpoint, Endpoints, Records
from ._headers import merged
from ._left_alone import LeftAlone
from ._places import Places
from ._port import Sending, TargetRefused
from ._signature import sign

__all__ = ["delivery_handler"]

_log = logging.getLogger("novitai_sdk")

USER_AGENT: Final = "novitai-sdk-webhooks/1"


def delivery_handler(
    sender: Sending,
    secrets: Callable[[], Sequence[Secret]],
    clock: Clock,
    policy: DeliveryPolicy | None = None,
    *,
    store: Records,
) -> Handler:
    """Return the handler of ``send_webhook`` jobs.

    *secrets* is asked at every attempt: a secret is never stored with a job, and a rotation takes effect at once.

    A receiver that let an attempt wait in vain, or that is overloaded, is left alone for a minute, and then asked once
    at a time until it answers, and of requests to one host four are under way at a time; other jobs are handed back
    meanwhile, which costs no attempt. An endpoint that has only failed for five days, as *store* knows, or has answered
    410, is disabled: its jobs are given up, but for one that was retried by hand, and the first that gets through ends
    that.
    """
    judge = policy or DeliveryPolicy()
    left_alone, places = LeftAlone(clock.monotonic), Places(clock.monotonic)
    endpoints = Endpoints(store, clock)

    async def send(job: Job, context: JobContext) -> Outcome:
        url = str(job.payload["url"])
        wait = left_alone.wait(url)
        if wait:
            return HandBack(after=judge.at_least(wait))
        turn = places.wait(url)
        if turn:
            return HandBack(after=turn)
        with left_alone.asking(url), places.taken(url):
            endpoint = await endpoints.look_up(url, context)
            outcome = endpoint.refusal(job) or await attempt(job, context, endpoint)
        if isinstance(outcome, GiveUp) or (isinstance(outcome, Retry) and context.last_attempt):
            _log.warning("%s was not delivered (%s): %s", _named(job), job.id, outcome.error)
        return outcome

    async def attempt(job: Job, context: JobContext, endpoint: Endpoint) -> Outcome:
        url = endpoint.url
        body = str(job.payload["body"]).encode()
        now = clock.time()
        headers = merged(
            {"Content-Type": "application/json", "User-Agent": USER_AGENT},
            _extra_headers(job),
            _signed(body, str(job.payload["messageId"]), secrets(), now),
        )
        gone = False
        began = clock.monotonic()
        try:
            reply = await sender.post(url, body, headers)
        except (TargetRefused, ValidationError) as error:  # it would be refused every time
            return GiveUp(error=str(error))
        except TransportFailed as error:
            left_alone.no_answer(url, clock.monotonic() - began)
            outcome = judge.after_failure(job.attempts, error)
        else:
            left_alone.answer(url, reply.status)
            gone = reply.status == HTTPStatus.GONE
            outcome = judge.after_reply(job.attempts, reply, now=clock.time())
        return await endpoints.after(outcome, endpoint, context, gone=gone)

    return send


def _named(job: Job) -> str:
    told = job.payload.get("payload")
    instance = told.get("instanceId") if isinstance(told, dict) else None
    # Escaped: events of a program's own may have any text there.
    return f"webhook {job.payload['messageId']}" + (f" of {instance!a}" if instance else "")


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
