"""From what the cloud shows of a machine to what is kept and told of it. Pure functions."""

from datetime import datetime, timedelta
from typing import Final

import attrs

from .. import cloud
from ..cloud import CloudStatus, Phase
from ..cloud._refusals import short
from ..models import ConnectionDetails, InstanceDetails, InstanceStatus, PortMapping
from ._life import Move, move_seen
from ._records import Managed

__all__ = [
    "connection_of",
    "details_of",
    "may_come_yet",
    "phase_of",
    "ports_of",
    "seen",
    "trouble_with",
]

# A machine created a moment ago may not be found yet; taken for gone, it would be forgotten while it bills.
_TOO_YOUNG_TO_BE_GONE: Final = timedelta(seconds=60)
_COMING: Final = frozenset(
    {InstanceStatus.CREATING, InstanceStatus.CREATED, InstanceStatus.STARTING}
)


def seen(managed: Managed, sight: cloud.Instance | None, now: datetime) -> Managed:
    """Return what is kept after *sight*; None: the cloud does not know the machine."""
    if sight is None:
        return _gone(managed, now)
    trouble = trouble_with(sight)
    noticed = attrs.evolve(
        managed,
        phase=phase_of(sight) or managed.phase,
        port_mappings=ports_of(sight) or managed.port_mappings,
        connection_details=connection_of(sight) or managed.connection_details,
        failure=trouble,
        # Once it is gone, the same words tell of a new failure.
        overcome=managed.overcome if trouble is not None else None,
    )
    failure = _failure(managed, sight)
    if failure is not None:
        return noticed.moved(Move.FAIL, now, error=failure)
    move = move_seen(sight.status)
    if move is Move.COMING_UP and managed.status not in _COMING:
        # A restart, a reset or a migration: it was ready before and is on its way back; nothing to tell anybody.
        return noticed
    return noticed if move is None else noticed.moved(move, now)


def phase_of(sight: cloud.Instance) -> str | None:
    """Return the cloud's own word for what the machine is doing, fit to be shown; None where it says none."""
    return None if sight.status is None else short(sight.status.value)


def trouble_with(sight: cloud.Instance) -> str | None:
    """Return what went wrong with a machine, as the cloud tells, or None."""
    return "the cloud took this spot machine back" if sight.reclaimed else sight.failure


def may_come_yet(phase: str | None, created: datetime, now: datetime) -> bool:
    """Whether a machine that is not found was *created* a moment ago and never seen in any *phase*."""
    return phase is None and now - created < _TOO_YOUNG_TO_BE_GONE


def _gone(managed: Managed, now: datetime) -> Managed:
    times = managed.state.timestamps
    if not managed.deleting and may_come_yet(managed.phase, times.started or times.created, now):
        return managed
    if managed.status in _COMING and not managed.deleting:
        return managed.moved(Move.FAIL, now, error="the cloud no longer knows this machine")
    return managed.moved(Move.DELETE, now)


def _failure(managed: Managed, sight: cloud.Instance) -> str | None:
    """Why a machine on its way up, of which *managed* tells what was seen before, will not arrive, or None."""
    if managed.status not in _COMING or managed.deleting:
        return None
    phase = sight.status.phase if sight.status is not None else None
    if phase is Phase.UP:
        return None
    trouble = trouble_with(sight)
    if trouble is not None and trouble != managed.overcome:
        return trouble
    if phase is Phase.GONE:
        return f"the machine was removed while it was starting (status {sight.status})"
    if phase is Phase.STOPPED and not _may_still_be_stopped(managed):
        return f"the machine stopped instead of starting (status {sight.status})"
    return None


def _may_still_be_stopped(managed: Managed) -> bool:
    """Whether it was started a moment ago and nothing but stopped was seen of it since: it is shown so for a moment."""
    before = CloudStatus(managed.phase).phase if managed.phase is not None else None
    unmoved = managed.phase is None or before is Phase.STOPPED
    return managed.status is InstanceStatus.STARTING and unmoved


def ports_of(sight: cloud.Instance) -> tuple[PortMapping, ...]:
    """Return the ports that can be reached."""
    return tuple(
        PortMapping(
            port=one.port, endpoint=one.endpoint, type=one.type.value if one.type else "tcp"
        )
        for one in sight.port_mappings
        if one.port is not None and one.endpoint
    )


def connection_of(sight: cloud.Instance) -> ConnectionDetails | None:
    """Return how to reach the machine; passwords stay in the cloud's own record."""
    ssh, web = sight.connect_component_ssh, sight.connect_component_web_terminal
    jupyter = sight.connect_component_jupyter
    found = ConnectionDetails(
        ssh=(ssh.ssh_command if ssh else sight.ssh_command) or None,
        jupyter=(jupyter.address.reveal() if jupyter and jupyter.address else None) or None,
        web_terminal=(web.address if web else None) or None,
    )
    return found if found != ConnectionDetails() else None


def details_of(sight: cloud.Instance, now: datetime) -> InstanceDetails:
    """Return the public view of a machine there is no record of; its id is the cloud's."""
    return InstanceDetails(
        id=sight.id,
        name=sight.name or sight.id,
        status=_status_of(sight),
        gpu_num=sight.gpu_num or 0,
        region=cloud.region_code(sight.cluster_name or sight.cluster_id or "Unknown"),
        port_mappings=ports_of(sight),
        connection_details=connection_of(sight),
        created_at=sight.created_at or now,
    )


def _status_of(sight: cloud.Instance) -> InstanceStatus:
    phase = (sight.status or CloudStatus.PENDING).phase
    if sight.failed and phase is not Phase.UP:
        return InstanceStatus.FAILED
    words = {
        Phase.PROVISIONING: InstanceStatus.STARTING,
        Phase.UP: InstanceStatus.RUNNING,
        Phase.STOPPING: InstanceStatus.STOPPING,
        Phase.STOPPED: InstanceStatus.STOPPED,
        Phase.GONE: InstanceStatus.TERMINATED,
    }
    # A word this version does not know is given on as it came.
    return words[phase] if phase is not None else InstanceStatus(phase_of(sight) or "")
