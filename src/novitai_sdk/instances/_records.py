"""What is kept of a managed instance, and how it is changed.

A record is a versioned document in the store. Everybody changes it the same way: read, decide, write back on condition
that nobody wrote in between; whoever loses reads again. So a late poll never overwrites a delete.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Final

import attrs

from .._asked import max_wait_problems
from .._convert import explain, record_converter
from .._values import can_name
from ..errors import JobError
from ..jobs import Change, NewJob, Record, RecordChanged, Write
from ..models import (
    ConnectionDetails,
    InstanceDetails,
    InstanceState,
    InstanceStatus,
    Json,
    PortMapping,
    Timestamps,
)
from ..models._base import extra_field
from ._life import Move, after

__all__ = [
    "KIND",
    "OWN_ID",
    "FollowUp",
    "Intent",
    "Managed",
    "at",
    "machine_in",
    "read_record",
    "rewrite",
    "write_of",
]

KIND: Final = "instance"
OWN_ID: Final = "inst_"
"""How the ids begin that this library gives."""

_LAYOUT: Final = 1
# Far above what honest rivals need; without a bound a broken store would turn this into an endless loop.
_TRIES: Final = 50


@attrs.frozen(kw_only=True)
class Intent:
    """Written before a create is sent: from here on the machine may exist."""

    at: datetime
    """When the create was about to be sent."""

    sends: int = 1
    """How often it has been sent, this time included."""

    lost: str | None = None
    """Why the answer is not known."""

    ended: datetime | None = None
    """When waiting for the answer ended; None while it lasts, and when the process ended before it."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class Managed:
    """One managed instance as it is kept.

    The contract's InstanceState, and beside it what this library needs to look after the machine.
    """

    state: InstanceState
    layout: int = _LAYOUT
    product_name: str = ""
    cluster_id: str | None = None
    billing_mode: str = "spot"
    hourly_price: Decimal | None = None
    """USD per hour for all its GPUs."""

    phase: str | None = None
    """The cloud's own word for what it is doing."""

    failure: str | None = None
    """What the cloud last said went wrong with the machine."""

    code: str | None = None
    """The service contract's word for why it failed, where its create was refused."""

    overcome: str | None = None
    """The failure it was last started after: the cloud may go on telling of it for a while, and it is old news."""

    max_wait: float = 1200.0
    """Seconds from create to running before it counts as failed."""

    intent: Intent | None = None
    """Set while a create was sent whose outcome is not known."""

    deleting: bool = False
    """Whether it was asked to be deleted: what is seen of it then is no failure."""

    port_mappings: tuple[PortMapping, ...] = ()
    connection_details: ConnectionDetails | None = None
    extra: Mapping[str, Json] = extra_field()

    @property
    def id(self) -> str:
        """The id this library gave it."""
        return self.state.id

    @property
    def status(self) -> InstanceStatus:
        """Where it stands in its life."""
        return self.state.status

    @property
    def unborn(self) -> bool:
        """Whether no machine of it is known, and none may exist unknown."""
        return self.state.novita_instance_id is None and self.intent is None

    @property
    def why(self) -> str | None:
        """Why it failed, or stopped without being asked to, as far as the cloud told."""
        stopped = self.status in (InstanceStatus.STOPPED, InstanceStatus.EXITED)
        unasked = stopped and self.state.timestamps.stopping is None
        news = self.failure if unasked and self.failure != self.overcome else None
        return self.state.last_error or news

    def moved(
        self, move: Move, now: datetime, *, error: str | None = None, code: str | None = None
    ) -> "Managed":
        """Return it after *move*, with the times that the move stamps."""
        status = after(self.status, move)
        if status == self.status:
            return self
        times, overcome = self.state.timestamps, self.overcome
        if move is Move.START:
            # A new life begins: the times of the last one would make its deadline pass at once, and its failure end it.
            overcome = self.failure
            times = attrs.evolve(
                times, started=None, ready=None, failed=None, stopping=None, stopped=None
            )
        stamp = _STAMPS.get(status)
        if stamp is not None:
            times = stamp(times, now)
        state = attrs.evolve(
            self.state,
            status=status,
            timestamps=times,
            last_error=error if status is InstanceStatus.FAILED else None,
        )
        code = code if status is InstanceStatus.FAILED else None
        return attrs.evolve(self, state=state, overcome=overcome, code=code)

    def restarted(self, now: datetime) -> "Managed":
        """Return it after the cloud took a start: what was seen and said of the machine before counts no more."""
        return attrs.evolve(self, phase=None, deleting=False).moved(Move.START, now)

    def details(self) -> InstanceDetails:
        """Return the public view."""
        return attrs.evolve(
            InstanceDetails.from_state(self.state),
            port_mappings=self.port_mappings,
            connection_details=self.connection_details,
        )


_STAMPS: Final[Mapping[InstanceStatus, Callable[[Timestamps, datetime], Timestamps]]] = {
    # The first time counts: a machine seen running twice was ready once.
    InstanceStatus.CREATED: lambda times, now: attrs.evolve(times, started=times.started or now),
    InstanceStatus.STARTING: lambda times, now: attrs.evolve(times, started=times.started or now),
    InstanceStatus.RUNNING: lambda times, now: attrs.evolve(times, ready=times.ready or now),
    InstanceStatus.FAILED: lambda times, now: attrs.evolve(times, failed=times.failed or now),
    InstanceStatus.STOPPING: lambda times, now: attrs.evolve(times, stopping=now),
    InstanceStatus.STOPPED: lambda times, now: attrs.evolve(times, stopped=now),
    InstanceStatus.TERMINATED: lambda times, now: attrs.evolve(times, terminated=now),
}


def at(seconds: float) -> datetime:
    """Return the moment *seconds* after 1970-01-01 UTC, in whole milliseconds as records keep it."""
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, tz=timezone.utc)


def read_record(record: Record) -> Managed:
    """Return what *record* holds. Raises JobError, with what to do about its machine."""
    if record.wrong is not None:
        raise _unreadable(record, record.wrong)
    try:
        managed = record_converter.structure(record.body, Managed)
    except Exception as error:
        raise _unreadable(record, "; ".join(explain(error))) from error
    # Such values fit their fields, and break whatever is done with all records at once.
    problems = [one.message for one in max_wait_problems(managed.max_wait)]
    if managed.id != record.key:
        problems.append(f"it is of {managed.id!r}")
    machine = managed.state.novita_instance_id
    if machine is not None and not can_name(machine):
        problems.append(f"{machine[:20]!r} is no id of a machine")
    if problems:
        raise _unreadable(record, "; ".join(problems))
    return managed


def _unreadable(record: Record, why: str) -> JobError:
    machine = machine_in(record)
    end = (
        f"its machine carries NOVITAI_INSTANCE_ID={record.key}"
        if machine is None
        else f"instances.delete({machine!r}) ends its machine"
    )
    return JobError(f"the record of instance {record.key} cannot be read: {why}; {end}")


def machine_in(record: Record) -> str | None:
    """The cloud's id of the machine in a record that need not be readable otherwise."""
    state = record.body.get("state")
    machine = state.get("novitaInstanceId") if isinstance(state, Mapping) else None
    return machine if isinstance(machine, str) and can_name(machine) else None


def write_of(managed: Managed, expected: int) -> Write:
    """Return the write that replaces version *expected* (0: there must be none yet) with *managed*."""
    return Write(
        kind=KIND, key=managed.id, body=record_converter.unstructure(managed), expected=expected
    )


FollowUp = Callable[[Managed, Managed], tuple[NewJob, ...]]


async def rewrite(
    read: Callable[[], Awaitable[Record | None]],
    commit: Callable[[Change], Awaitable[None]],
    change: Callable[[Managed], Managed],
    follow_up: FollowUp,
) -> Managed | None:
    """Change a record, with the jobs that follow from it, in one transaction; None when there is no record.

    *change* and *follow_up* (told what was and what is) may run several times: they decide on what they are
    given and do nothing else. When nothing changes, nothing follows.
    """
    tries = 0
    while True:
        record = await read()
        if record is None:
            return None
        before = read_record(record)
        changed = change(before)
        if changed == before:
            return before
        jobs = follow_up(before, changed)
        try:
            await commit(Change(writes=(write_of(changed, record.version),), jobs=jobs))
        except RecordChanged:
            tries += 1
            if tries == _TRIES:
                raise
        else:
            return changed
