"""The health report: what was measured, beside what is up.

Memory is MB, times are milliseconds, shares are percent, as the contract has them.
"""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ._base import Json, Model, extra_field, wire
from ._enums import ServiceStatus
from ._health import HealthCheckResponse


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PerformanceMetrics(Model):
    """How much is done, and how well."""

    requests_per_minute: float
    """Requests to the cloud."""

    average_response_time: float
    """Milliseconds."""

    error_rate: float
    """Percent of the requests that failed."""

    job_processing_rate: float
    """Jobs per minute."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class MemoryUsage(Model):
    """Memory, in MB."""

    used_mb: float = attrs.field(metadata=wire("usedMB"))
    """MB this process uses."""

    total_mb: float = attrs.field(metadata=wire("totalMB"))
    """MB there are."""

    external_mb: float = attrs.field(default=0.0, metadata=wire("externalMB"))
    """MB held outside the language's own heap, where that can be told."""

    rss: float | None = None
    """MB of this process that are in memory now."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CpuUsage(Model):
    """How busy the processors are."""

    usage: float
    """Percent of one processor that this process used."""

    load_average: tuple[float, ...] = ()
    """Over the last 1, 5 and 15 minutes; empty where the system does not tell."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SystemMetrics(Model):
    """What this process uses of its machine."""

    memory: MemoryUsage
    cpu: CpuUsage
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NovitaApiDependency(Model):
    """The cloud's API, as the check found it."""

    status: ServiceStatus

    response_time: float | None = None
    """Milliseconds until it answered."""

    last_checked: datetime
    """In UTC."""

    error: str | None = None
    """Why it is down."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobQueueDependency(Model):
    """The task runner's records, as the check found them."""

    status: ServiceStatus

    queue_size: int
    """Jobs that wait, those that are not due yet among them."""

    processing: int
    completed: int
    failed: int

    due: int | None = None
    """Jobs that are due and that nobody has taken: the depth of the queue."""

    oldest_due_age: float | None = None
    """Milliseconds since the oldest of those fell due; 0 when there is none."""

    lag: float | None = None
    """Milliseconds for which the jobs begun here in the last minute had been due, on average."""

    degraded: str | None = None
    """In what it falls behind, by the settings ``degraded_age`` and ``degraded_depth``, though it is up."""

    last_checked: datetime
    """In UTC."""

    error: str | None = None
    """Why it is down."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CacheUsage(Model):
    """One cache."""

    size: int
    """Entries."""

    hit_ratio: float
    """Percent of the reads it could answer."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CacheDependency(Model):
    """What is kept of instances, as the check found it."""

    status: ServiceStatus
    instance_cache: CacheUsage | None = None
    instance_states_cache: CacheUsage | None = None

    total_states: int
    """Instances whose state is kept."""

    last_checked: datetime
    """In UTC."""

    error: str | None = None
    """Why it is down."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class HealthDependencies(Model):
    """Each dependency in detail. Further ones of later versions are in ``extra``."""

    novita_api: NovitaApiDependency
    job_queue: JobQueueDependency
    cache: CacheDependency
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EnhancedHealthCheckResponse(HealthCheckResponse):
    """Health with what was measured."""

    performance: PerformanceMetrics
    system: SystemMetrics
    dependencies: HealthDependencies
