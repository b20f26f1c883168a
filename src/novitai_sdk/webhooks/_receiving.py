"""For receivers: what arrived, once it is proven to be ours."""

import json
from collections.abc import Sequence
from typing import cast

import attrs

from .._convert import converter, explain
from .._waiting import SystemClock
from ..errors import AlreadyReceived, SignatureInvalid
from ..models import Json, JsonObject, Secret, WebhookEvent
from ._signature import Headers, SeenIds, check_signature

__all__ = ["Received", "verify"]


@attrs.frozen(kw_only=True)
class Received:
    """A webhook whose signature is valid."""

    message_id: str
    """The same in every redelivery: keep it to do things once."""

    timestamp: int
    """Seconds since 1970 at which this delivery was sent."""

    body: bytes = attrs.field(repr=False)
    """The bytes that were signed."""

    @property
    def json(self) -> JsonObject:
        """The body as a JSON object. Raises SignatureInvalid when it is none."""
        try:
            found: object = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise SignatureInvalid("the body is no JSON object")
        return cast("dict[str, Json]", found)

    @property
    def event(self) -> WebhookEvent:
        """The body as an event about an instance. Raises SignatureInvalid when it is none."""
        found = self.json
        try:
            return converter.structure(found, WebhookEvent)
        except Exception as error:
            raise SignatureInvalid(f"the body is no event: {'; '.join(explain(error))}") from error


def verify(
    body: bytes,
    headers: Headers,
    secrets: "str | Secret | Sequence[str | Secret]",
    *,
    tolerance: float = 300.0,
    now: float | None = None,
    seen: SeenIds | None = None,
    legacy: bool = False,
) -> Received:
    """Return the webhook if one of *secrets* signed it; raise SignatureInvalid for whatever else a stranger sends.

    Give the *body* exactly as it arrived and all *headers* (a mapping, the message of an ``http.server``, or pairs of
    texts or bytes; case does not matter). The timestamp may be *tolerance* seconds off *now* (default: the system's
    time) in either direction. With *seen*, one that was accepted before raises AlreadyReceived, a SignatureInvalid.
    *legacy* accepts the service's own signature where there is no standard one: it can be replayed.

    Raises ValueError for unusable secrets and TypeError for what is no secret and a body that is not bytes: those are
    mistakes of the receiver, not of the sender.
    """
    moment = SystemClock().time() if now is None else now
    signed = check_signature(body, headers, secrets, now=moment, tolerance=tolerance, legacy=legacy)
    received = Received(message_id=signed.message_id, timestamp=signed.timestamp, body=body)
    if seen is not None and signed.message_id:
        until = signed.timestamp + tolerance
        if not seen.add(signed.message_id, now=moment, until=until):
            raise AlreadyReceived(f"{signed.message_id} was received before")
    return received
