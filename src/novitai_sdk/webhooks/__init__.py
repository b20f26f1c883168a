"""Webhooks: signed and sent by a client's jobs, verified by a receiver with plain functions.

>>> secret = new_secret()
>>> body = b'{"instanceId":"inst_1_a","status":"running","timestamp":"2026-01-01T00:00:00.000Z"}'
>>> headers = sign(body, secrets=secret, message_id="msg_1", timestamp=1767225600)
>>> verify(body, headers, secret, now=1767225600).event.status
WebhookStatus.RUNNING
"""

from typing import TYPE_CHECKING

from ._delivery import SCHEDULE, DeliveryPolicy, webhook_job
from ._handler import delivery_handler
from ._noun import Webhooks
from ._port import TargetRefused
from ._receiving import Received, verify
from ._signature import SeenIds, new_secret, sign

if TYPE_CHECKING:
    from ._sender import Sender

__all__ = [
    "SCHEDULE",
    "DeliveryPolicy",
    "Received",
    "SeenIds",
    "Sender",
    "TargetRefused",
    "Webhooks",
    "delivery_handler",
    "new_secret",
    "sign",
    "verify",
    "webhook_job",
]


# Type checkers would take every name for one that is there.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # A receiver verifies and never sends: it need not load httpx.
        if name == "Sender":
            from ._sender import Sender

            return Sender
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
