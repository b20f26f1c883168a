"""The task runner's records as the service contract has them. Times are UTC."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ._base import Json, JsonObject, extra_field
from ._enums import BillingMode, JobPriority, JobStatus, JobType, TemplateId
from ._shown import repr_of_url


@attrs.frozen(kw_only=True)
class Job:
    """One piece of work, and what became of it.

    Due jobs are taken by priority, then by age.
    """

    id: str
    type: JobType

    payload: JsonObject = attrs.field(hash=False, repr=False)
    """What the handler of this type needs to know. Left out of ``repr``: it may be large, and hold a credential."""

    status: JobStatus
    priority: JobPriority = JobPriority.NORMAL

    attempts: int = 0
    """How often it was taken since it last got anywhere."""

    max_attempts: int = 3
    """How often it may be before it counts as failed."""

    created_at: datetime

    processed_at: datetime | None = None
    """When it was last taken."""

    completed_at: datetime | None = None
    """When it ended, well or not."""

    next_retry_at: datetime | None = None
    """When it is due; None means at once."""

    error: str | None = None
    """Why the last attempt failed."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class CreateInstanceJobPayload:
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


@attrs.frozen(kw_only=True)
class MonitorInstanceJobPayload:
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


@attrs.frozen(kw_only=True)
class SendWebhookJobPayload:
    """What a ``send_webhook`` job delivers."""

    url: str = attrs.field(repr=repr_of_url)
    """Where it goes."""

    payload: Json = attrs.field(default=None, hash=False, repr=False)
    """The event; None stands for null."""

    headers: Mapping[str, str] | None = attrs.field(default=None, hash=False, repr=False)
    """Further headers; they may carry credentials."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class JobQueueStats:
    """How many jobs there are."""

    total_jobs: int
    pending_jobs: int
    processing_jobs: int
    completed_jobs: int
    failed_jobs: int

    jobs_by_type: Mapping[str, int] = attrs.field(hash=False)
    """Every type the contract names, also those with none."""

    extra: Mapping[str, Json] = extra_field()
