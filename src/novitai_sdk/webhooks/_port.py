"""What a delivery needs of whatever sends it."""

from typing import Protocol

import attrs

from ..errors import NovitaError

__all__ = ["Sending", "TargetRefused", "WebhookReply"]


class TargetRefused(NovitaError):
    """The URL, or an address it resolves to, is one that webhooks do not go to."""


@attrs.frozen(kw_only=True)
class WebhookReply:
    """What the receiver said."""

    status: int
    """HTTP status."""

    retry_after: str | None = None
    """The Retry-After header, as it came."""

    body: bytes = attrs.field(default=b"", repr=False)
    """The beginning of the body."""


class Sending(Protocol):
    """Sends one webhook."""

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookReply:
        """Return what the receiver said, whatever its status. Raises TargetRefused and TransportFailed."""
        ...
