"""What the jobs of the service contract work on. Durations are milliseconds, as the contract has them."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ._base import Json, Model, extra_field
from ._enums import BillingMode, TemplateId
from ._shown import repr_of_url


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CreateInstanceJobPayload(Model):
    """What a ``create_instance`` job rents."""

    instance_id: str
    """The id this library gave the instance."""

    name: str
    product_name: str
    template_id: TemplateId
    gpu_num: int

    rootfs_size: int
    """GB."""

    region: str
    webhook_url: str | None = attrs.field(default=None, repr=repr_of_url)
    billing_mode: BillingMode | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class MonitorInstanceJobPayload(Model):
    """What a ``monitor_instance`` job follows until it runs."""

    instance_id: str

    novita_instance_id: str
    """The cloud's id of the machine."""

    webhook_url: str | None = attrs.field(default=None, repr=repr_of_url)

    start_time: datetime
    """When the wait began."""

    max_wait_time: int
    """Milliseconds from then until it counts as failed."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SendWebhookJobPayload(Model):
    """What a ``send_webhook`` job delivers."""

    url: str = attrs.field(repr=repr_of_url)
    """Where it goes."""

    payload: Json = attrs.field(default=None, hash=False, repr=False)
    """The event; None stands for null."""

    headers: Mapping[str, str] | None = attrs.field(default=None, hash=False, repr=False)
    """Further headers; they may carry credentials."""

    extra: Mapping[str, Json] = extra_field()
