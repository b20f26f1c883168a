"""The event a webhook carries."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ._base import Json, Model, extra_field
from ._enums import WebhookStatus


def _status(word: str) -> WebhookStatus:
    return WebhookStatus(word)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WebhookEvent(Model):
    """What happened to an instance. The order of the fields is the order on the wire.

    What is None is left out; an elapsed time of 0 is not.
    """

    instance_id: str
    """The id this library gave the instance."""

    status: WebhookStatus = attrs.field(converter=_status)
    """What happened. A plain text is taken as well."""

    timestamp: datetime
    """When, in UTC."""

    novita_instance_id: str | None = None
    """The cloud's id of the machine, once there is one."""

    operation_id: str | None = None
    """The operation that ended with this event."""

    elapsed_time: int | None = None
    """Milliseconds since the machine was rented, or was last started; since the create where none was."""

    error: str | None = None
    """Why it failed."""

    data: Json = attrs.field(default=None, hash=False, repr=False)
    """The instance as it was then seen. Left out of ``repr``: it may hold addresses with credentials."""

    health_check: Json = attrs.field(default=None, hash=False, repr=False)
    """How the endpoints of the machine answered."""

    startup_operation: Json = attrs.field(default=None, hash=False, repr=False)
    """How far a start has come."""

    reason: str | None = None
    """Why it happened."""

    extra: Mapping[str, Json] = extra_field()
