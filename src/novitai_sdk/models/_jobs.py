"""The task runner's records as the service contract has them. Times are UTC."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ._base import Json, JsonObject, Model, extra_field
from ._enums import JobPriority, JobStatus, JobType


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Job(Model):
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


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobThroughput(Model):
    """How many jobs ended, well or not, in a time up to now."""

    last_minute: int
    last_five_minutes: int
    last_hour: int

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobQueueStats(Model):
    """How many jobs there are."""

    total_jobs: int
    pending_jobs: int
    processing_jobs: int
    completed_jobs: int
    failed_jobs: int

    jobs_by_type: Mapping[str, int] = attrs.field(hash=False)
    """Every type the contract names, also those with none."""

    due_jobs: int | None = None
    """Jobs that wait although they are due."""

    oldest_due_at: datetime | None = None
    """Since when the one of them is due that has been longest."""

    throughput: JobThroughput | None = None
    """How many ended lately, as far as the store still has them."""

    extra: Mapping[str, Json] = extra_field()
