"""The jobs that managed instances give rise to."""

from collections.abc import Mapping
from typing import Final

from .._convert import record_converter
from ..jobs import NewJob, new_job
from ..models import (
    BillingMode,
    CreateInstanceJobPayload,
    InstanceStatus,
    JobPriority,
    JobType,
    MonitorInstanceJobPayload,
    WebhookEvent,
)
from ..webhooks import webhook_job
from ._records import Managed, at

__all__ = ["TIMED_OUT", "create_job", "monitor_job", "webhook_jobs"]

# An attempt ends without an answer when the cloud cannot be reached or the process dies. What bounds both is the time
# the instance may take, not a count that an outage of a minute would use up.
_ATTEMPTS: Final = 25

TIMED_OUT: Final = "Instance startup timeout after"
"""How the reason of a failure by timeout begins."""

# The changes the owner of a webhook URL is told of, and the event's status.
_EVENTS: Final[Mapping[InstanceStatus, str]] = {
    InstanceStatus.RUNNING: "running",
    InstanceStatus.FAILED: "failed",
    InstanceStatus.STOPPED: "stopped",
    InstanceStatus.TERMINATED: "deleted",
}


def create_job(managed: Managed, *, now: float) -> NewJob:
    """Return the job that rents the machine."""
    state, wanted = managed.state, managed.state.configuration
    payload = CreateInstanceJobPayload(
        instance_id=managed.id,
        name=state.name,
        product_name=managed.product_name,
        template_id=state.template_id,
        gpu_num=wanted.gpu_num,
        rootfs_size=wanted.rootfs_size,
        region=wanted.region,
        webhook_url=state.webhook_url,
        billing_mode=BillingMode(managed.billing_mode),
    )
    return new_job(
        JobType.CREATE_INSTANCE,
        record_converter.unstructure(payload),
        now=now,
        priority=JobPriority.HIGH,
        max_attempts=_ATTEMPTS,
        key=f"create:{managed.id}",
    )


def monitor_job(managed: Managed, *, now: float, first_look: float) -> NewJob:
    """Return the job that follows the machine until it runs; one for each time it was started.

    *first_look* is in epoch seconds: at once there is nothing to see yet.
    """
    started = managed.state.timestamps.started or at(now)
    payload = MonitorInstanceJobPayload(
        instance_id=managed.id,
        novita_instance_id=managed.state.novita_instance_id or "",
        webhook_url=managed.state.webhook_url,
        start_time=started,
        max_wait_time=int(managed.max_wait * 1000),
    )
    return new_job(
        JobType.MONITOR_INSTANCE,
        record_converter.unstructure(payload),
        now=now,
        after=first_look - now,
        priority=JobPriority.HIGH,
        max_attempts=_ATTEMPTS,
        key=f"monitor:{managed.id}:{int(started.timestamp() * 1000)}",
    )


def webhook_jobs(before: Managed, after: Managed, *, now: float) -> tuple[NewJob, ...]:
    """Return the webhook that tells of a change, if the change is one to tell of.

    It depends on nothing but the two states, so however many look at a machine at once, the one transaction that moves
    it makes the one webhook.
    """
    url, event = after.state.webhook_url, _EVENTS.get(after.status)
    if url is None or event is None or before.status == after.status:
        return ()
    error, times = after.state.last_error, after.state.timestamps
    if event == "failed" and (error or "").startswith(TIMED_OUT):
        event = "timeout"
    told = WebhookEvent(
        instance_id=after.id,
        status=event,
        timestamp=at(now),
        novita_instance_id=after.state.novita_instance_id,
        # As its deadline: a machine that is started again after a night took minutes, not a night.
        elapsed_time=int((at(now) - (times.started or times.created)).total_seconds() * 1000),
        error=error,
        data=record_converter.unstructure(after.details()) if event == "running" else None,
        reason=after.why if event == "stopped" else None,
    )
    return (webhook_job(told, url, now=now),)
