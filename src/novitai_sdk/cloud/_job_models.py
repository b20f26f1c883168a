"""Jobs of the cloud (an image being saved, a machine being moved) and what it measures of a machine."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ..models._base import Json, Model, extra_field
from ..models._shown import repr_of_url
from ._instance_models import EnvVar
from ._reported import AN_ID
from ._words import JobPhase, JobType

__all__ = [
    "CloudJob",
    "CloudJobList",
    "CloudJobQuery",
    "CloudJobRef",
    "CloudJobState",
    "GpuMetrics",
    "GpuSeries",
    "JobStarted",
    "MetricPoint",
    "Metrics",
    "MetricsQuery",
    "SaveImage",
]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CloudJobQuery(Model):
    """Which jobs to list, and which page of them. What is None is not asked for."""

    page_size: int | None = None
    page_num: int | None = None
    """From 0; the cloud may give the same page for 0 and 1."""

    job_id: str | None = None
    state: JobPhase | None = None
    type: JobType | None = None
    start_time: datetime | None = None
    """Not made before this moment."""

    end_time: datetime | None = None
    """Not made after this moment."""

    creators: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CloudJobState(Model):
    """How far a job is."""

    state: JobPhase | None = None
    error: str | None = None
    error_message: str | None = attrs.field(default=None, metadata={"also": ("message",)})
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CloudJob(Model):
    """A job of the cloud. The task runner's own records are :class:`novitai_sdk.Job`."""

    id: str = attrs.field(metadata={"wire": "Id", "also": ("id",)})
    user: str | None = None
    type: JobType | None = None
    envs: tuple[EnvVar, ...] = ()
    state: CloudJobState | None = None
    log_address: str | None = attrs.field(default=None, repr=repr_of_url)
    created_at: datetime | None = None
    instance_id: str | None = None
    extra: Mapping[str, Json] = extra_field()

    @property
    def phase(self) -> JobPhase | None:
        """How far it is, in a word."""
        return self.state.state if self.state else None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CloudJobList(Model):
    """One page of jobs."""

    jobs: tuple[CloudJob, ...] | None
    total: int | None = None
    """How many there are on all pages."""

    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[CloudJob, ...]:
        """The jobs of this page."""
        return self.jobs or ()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CloudJobRef(Model):
    """Names one job in a request."""

    job_id: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SaveImage(Model):
    """Save an instance as an image."""

    instance_id: str

    image: str = attrs.field(repr=repr_of_url)
    """Where to, with a tag; 1 to 4095 characters."""

    registry_auth_id: str | None = None
    """Id of a credential from ``cloud.registries``; private registries only, though drawn as required."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobStarted(Model):
    """The answer to what is done in a job: its id."""

    job_id: str = attrs.field(metadata=AN_ID)
    extra: Mapping[str, Json] = extra_field()


# -- metrics ---------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True, eq=False, repr=False)
class MetricsQuery(Model):
    """What was measured of one instance, from when to when. What is None is not asked for.

    The cloud falls back to its defaults without a word when a value is wrong.
    """

    instance_id: str
    start_time: datetime | None = None
    """60 seconds or more before the end; the default is 60 seconds before now."""

    end_time: datetime | None = None
    """Not in the future; the default is now. What is measured arrives about a minute late."""

    interval: int | None = None
    """Seconds between two points, 15 or more; the default is 15."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class MetricPoint(Model):
    """What was measured at one moment."""

    timestamp: datetime | None = None
    value: float | None = None
    """Percent."""

    extra: Mapping[str, Json] = extra_field()

    @staticmethod
    def one_form(found: Json) -> Json:
        """Read milliseconds as seconds: that the timestamp is a text is all that is documented."""
        if isinstance(found, dict):
            time = str(found.get("timestamp"))
            if len(time) > 11 and time.isascii() and time.isdigit():
                return {**found, "timestamp": int(time) / 1000}
        return found


@attrs.frozen(kw_only=True, eq=False, repr=False)
class GpuSeries(Model):
    """What was measured of one GPU."""

    gpu_id: str | None = None
    items: tuple[MetricPoint, ...] = ()
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class GpuMetrics(Model):
    """What was measured of all GPUs, and of each."""

    avg: tuple[MetricPoint, ...] = ()
    gpu_ids: tuple[GpuSeries, ...] = ()
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Metrics(Model):
    """How busy an instance was; all values in percent."""

    cpu_utilization: tuple[MetricPoint, ...] = ()
    mem_utilization: tuple[MetricPoint, ...] = ()
    root_disk_utilization: tuple[MetricPoint, ...] = ()
    gpu_utilization: GpuMetrics | None = None
    gpu_mem_utilization: GpuMetrics | None = None
    extra: Mapping[str, Json] = extra_field()
