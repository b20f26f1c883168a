"""One watch for all instances on their way up.

A monitor is a row, not a task. Those that are due come together, the cloud's listing is read once for all of them, and
what it shows is held against what it showed the last time; only where that differs is a record read and written. Where
as many single looks cost less than the pages of the listing, there are single looks. A listing tells neither how to
reach a machine nor that one is gone, so both are looked up singly, in a call of their own: whoever hangs there holds up
nobody else.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from math import ceil
from typing import Final

import attrs

from .. import cloud
from .._calling import Async
from .._convert import explain, record_converter
from .._waiting import side_by_side
from ..cloud import Phase
from ..cloud._paging import PAGE_SIZE
from ..errors import (
    ApiError,
    CallError,
    PermissionDenied,
    RateLimited,
    Unauthorized,
)
from ..jobs import Again, Done, GiveUp, JobContext, Outcome, Together
from ..models import ConnectionDetails, InstanceStatus, MonitorInstanceJobPayload, PortMapping
from ._backstage import PASSING, Backstage
from ._claimed import change, remove
from ._jobs import TIMED_OUT
from ._life import Move
from ._records import KIND, Managed, at, read_record
from ._sight import connection_of, ports_of, seen
from ._ticks import Ticks, look_after

__all__ = ["Watch"]

_log = logging.getLogger("novitai_sdk")

_FOLLOWED: Final = frozenset({InstanceStatus.CREATED, InstanceStatus.STARTING})

# Calls side by side: one that hangs must not hold up those that fall due meanwhile.
_CALLS: Final = 4

# All there are, so that they cost one listing.
_MOST: Final = 100_000

# Seconds after which a call begins no further single look, which may have to wait for the rate limit.
_LONGEST_CALL: Final = 60.0

# Single looks side by side, and records read at once.
_LANES: Final = 8
_READ: Final = 500

# Seconds for which it is believed how long the listing is, and for which an instance nobody asked for is remembered.
_BELIEVED: Final = 300.0
_REMEMBERED: Final = 900.0

# Seconds between looks at most, whatever the cloud asks for.
_SLOWEST: Final = 60.0

# Seconds by which a time may change on its way through JSON.
_SAME: Final = 0.002


# What passes only when somebody does something about it.
_LASTING: Final = (Unauthorized, PermissionDenied)

_Shown = tuple[str | None, str | None, tuple[PortMapping, ...], ConnectionDetails | None]
"""What counts of a sight: status, failure, ports, and how to connect."""


@attrs.define
class _Known:
    """What is known of a monitor between two looks.

    All times but one are on the clock that is never set.

    Attributes:
        instance_id: Whose it is.
        machine: The cloud's id of it.
        started: When it was started, in epoch seconds; it tells one start from another.
        allowed: The seconds it may take.
        deadline: When it counts as failed.
        changed: When the cloud last showed something new, or when it was started.
        version: Of its record, when that was last read.
        looked: When it was last looked at.
        shown: What the cloud showed then.
        applied: Whether the record, in that version, has it.
        closely: Whether the next look is to be a single one.
    """

    instance_id: str
    machine: str
    started: float
    allowed: float
    deadline: float
    changed: float
    version: int | None = None
    looked: float = 0.0
    shown: _Shown | None = None
    applied: bool = False
    closely: bool = False


@attrs.frozen
class _Due:
    """A monitor whose machine is to be looked at."""

    context: JobContext
    known: _Known

    @property
    def job_id(self) -> str:
        return self.context.job.id


class Watch:
    """Looks at all machines whose monitors are due."""

    def __init__(self, back: Backstage[Async]) -> None:
        self._back = back
        self._ticks = Ticks()
        self._known: dict[str, _Known] = {}
        self._pages = 1
        self._counted = float("-inf")
        self._swept = back.waiter.monotonic()
        self._slower = 0.0  # seconds between looks at least, while the cloud asks for patience
        self._told: type[CallError] | None = None  # why nothing can be seen, as the log was told

    def handler(self) -> Together:
        """Return the handler of ``monitor_instance``."""
        return Together(self.look, most=_MOST, calls=_CALLS)

    def first_look(self, now: float) -> float:
        """Return when to look at a machine that was rented just now, in epoch seconds."""
        return self._ticks.within(self._back.settings.poll_interval, now)

    def note_trouble(self, instance_id: str, error: CallError) -> None:
        """Remember that a look at an instance failed; what does not pass by itself is told, once."""
        self._back.recent.note_trouble(instance_id, str(error))
        if isinstance(error, _LASTING) and type(error) is not self._told:
            self._told = type(error)
            _log.warning(
                "instances on their way cannot be looked at, %s the first of them; unless that changes, they count as "
                "failed when their time is over: %s",
                instance_id,
                error,
            )

    def note_sight(self, instance_id: str) -> None:
        """Forget that a look at an instance failed."""
        if self._back.recent.forget_trouble(instance_id):
            self._told = None

    async def look(self, contexts: Sequence[JobContext]) -> Mapping[str, Outcome | Exception]:
        """Look once at each machine; tell how each attempt ended."""
        self._sweep()
        round_ = _Round(self, self._back)
        await round_.play(contexts)
        return round_.answers

    def _sweep(self) -> None:
        """Forget instances that another process looks after by now."""
        now = self._back.waiter.monotonic()
        if now - self._swept > _REMEMBERED:
            self._swept = now
            self._known = {
                key: one for key, one in self._known.items() if now - one.looked <= _REMEMBERED
            }


class _Round:
    """One call of the watch."""

    def __init__(self, watch: Watch, back: Backstage[Async]) -> None:
        self.answers: dict[str, Outcome | Exception] = {}
        self._watch = watch
        self._back = back
        self._now = back.waiter.monotonic()
        self._ends = self._now + _LONGEST_CALL
        self._waits: dict[str, float] = {}  # seconds, by job
        self._refused = False

    async def play(self, contexts: Sequence[JobContext]) -> None:
        due = await self._followed([one for one in map(self._read, contexts) if one is not None])
        others = [one for one in due if not one.known.closely]
        if len(others) > self._pages_of_listing():
            await self._look_at_listing(others)
        else:
            await self._each((one, partial(self._look_singly, one)) for one in others or due)
        # They did not answer the last time, or are many. So as not to hold up the others they come at once, alone.
        left = (
            one for one in due if one.job_id not in self.answers and one.job_id not in self._waits
        )
        for one in left:
            self._look_closely(one)
        self._plan()

    async def _each(self, work: Iterable[tuple[_Due, Callable[[], Awaitable[None]]]]) -> None:
        """Do what is to be done for each, side by side; what goes wrong is told of that one alone."""

        async def one_of(one: _Due, piece: Callable[[], Awaitable[None]]) -> None:
            try:
                await piece()
            except Exception as error:  # noqa: BLE001 - it is this job's failed attempt
                self.answers[one.job_id] = error

        await side_by_side((partial(one_of, *pair) for pair in work), _LANES)

    # -- who is to be looked at --------------------------------------------------------------------

    def _read(self, context: JobContext) -> _Due | None:
        known = self._watch._known.get(context.job.id)
        if known is None:
            try:
                payload = record_converter.structure(context.job.payload, MonitorInstanceJobPayload)
            except Exception as error:  # noqa: BLE001 - cattrs raises groups of many kinds
                # What does not fit now will not fit the next time.
                self.answers[context.job.id] = GiveUp(error="; ".join(explain(error)))
                return None
            known = self._first_heard_of(payload)
            self._watch._known[context.job.id] = known
        known.looked = self._now
        return _Due(context, known)

    def _first_heard_of(self, payload: MonitorInstanceJobPayload) -> _Known:
        # The one time at which the wall clock is asked how much has passed: it may be set at any moment after.
        started = payload.start_time.timestamp()
        ago = max(0.0, self._back.waiter.time() - started)
        allowed = payload.max_wait_time / 1000
        return _Known(
            instance_id=payload.instance_id,
            machine=payload.novita_instance_id,
            started=started,
            allowed=allowed,
            deadline=self._now - ago + allowed,
            changed=self._now - ago,
        )

    async def _followed(self, due: Sequence[_Due]) -> list[_Due]:
        """Return those that are on their way still; the others are dealt with."""
        versions = await self._back.waiter.result(
            self._back.store.versions(KIND, [one.known.instance_id for one in due])
        )
        unread = [one for one in due if one.known.version != versions.get(one.known.instance_id, 0)]
        for start in range(0, len(unread), _READ):
            await self._learn(unread[start : start + _READ])
        return [one for one in due if one.job_id not in self.answers]

    async def _learn(self, due: Sequence[_Due]) -> None:
        """Read the records of *due*, of which nothing is known or which somebody has written."""
        asked = [(one, self._back.store.read(KIND, one.known.instance_id)) for one in due]
        deleted: list[tuple[_Due, Managed]] = []
        for one, reading in asked:
            record = await self._back.waiter.result(reading)
            try:
                managed = read_record(record) if record is not None else None
            except Exception as error:  # noqa: BLE001 - it is told as the failure of this one
                self.answers[one.job_id] = error
                continue
            gone = managed is not None and managed.status is InstanceStatus.TERMINATED
            if managed is not None and managed.deleting and not gone:
                deleted.append((one, managed))
            elif record is None or managed is None or not _is_followed(managed, one.known.started):
                self._end(one, Done())
            else:
                # Whoever wrote it may have written over what the last look had put there.
                one.known.version, one.known.applied = record.version, False
        await self._each((one, partial(self._remove, one, managed)) for one, managed in deleted)

    # -- looking ------------------------------------------------------------------------------------

    def _pages_of_listing(self) -> int:
        watch = self._watch
        return watch._pages if self._now - watch._counted < _BELIEVED else 1

    async def _look_at_listing(self, due: Collection[_Due]) -> None:
        """Read the listing, page by page, for all of *due*."""
        wanted: dict[str, list[_Due]] = {}
        for one in due:
            wanted.setdefault(one.known.machine, []).append(one)
        walk = self._back.listing()
        listed = 0
        try:
            while wanted and (page := await walk.more()) is not None:
                found = [(one, sight) for sight in page for one in wanted.pop(sight.id, ())]
                # Page by page: what is shown of ten thousand machines is a lot to hold.
                await self._each(
                    (one, partial(self._apply, one, sight))
                    for one, sight in found
                    if self._is_news(one, sight)
                )
                listed += len(page)
                if len(wanted) < self._pages_left(walk.total, listed):
                    break
        except CallError as error:
            self._not_listed((one for some in wanted.values() for one in some), error)
            return
        self._watch._slower = 0.0
        # Not on a complete listing, or cheaper to ask for. That a machine is gone says only the cloud's own answer
        # about it.
        for some in wanted.values():
            for one in some:
                self._look_closely(one)

    def _pages_left(self, total: int | None, listed: int) -> int:
        """How many pages come after so many entries; and take note of how long the listing is."""
        watch, total = self._watch, max(total or 0, listed)
        watch._pages, watch._counted = max(1, ceil(total / PAGE_SIZE)), self._now
        return ceil((total - listed) / PAGE_SIZE)

    def _is_news(self, one: _Due, sight: cloud.Instance) -> bool:
        """Whether *sight* is to be applied; if not, it is said here when to look again."""
        if _is_lean(sight):
            self._look_closely(one)
            return False
        if one.known.applied and one.known.shown == _shown(sight) and not self._is_late(one):
            self._watch.note_sight(one.known.instance_id)
            self._look_later(one)
            return False
        return True

    def _not_listed(self, due: Iterable[_Due], error: CallError) -> None:
        for one in due:
            self._watch.note_trouble(one.known.instance_id, error)
            # After anything that does not pass the listing is of no use, and single looks may be.
            if isinstance(error, PASSING) and not self._is_late(one):
                self._put_off(one, error)
            else:
                self._look_closely(one)

    async def _look_singly(self, one: _Due) -> None:
        if self._back.waiter.monotonic() > self._ends:
            return
        try:
            sight = await self._back.sight(one.known.machine)
        except CallError as error:
            # One failed look says nothing about the machine; the deadline does.
            one.known.closely = True
            self._watch.note_trouble(one.known.instance_id, error)
            if self._is_late(one):
                await self._too_late(one)
            else:
                self._put_off(one, error)
        else:
            one.known.closely = False
            self._watch._slower = 0.0
            await self._apply(one, sight)

    async def _apply(self, one: _Due, sight: cloud.Instance | None) -> None:
        """Put down what *sight* tells; None: the cloud does not know the machine."""
        self._watch.note_sight(one.known.instance_id)
        now = at(self._back.waiter.time())
        after = await self._change(one, lambda managed: seen(managed, sight, now))
        if after.status is InstanceStatus.FAILED:
            self._end(one, GiveUp(error=after.state.last_error or "it failed"))
        elif not _is_followed(after, one.known.started):
            self._end(one, Done())
        elif self._is_late(one):
            await self._too_late(one)
        else:
            self._note(one.known, _shown(sight) if sight is not None else None)
            self._look_later(one)

    async def _change(self, one: _Due, how: Callable[[Managed], Managed]) -> Managed:
        """Change the record, unless it was started anew meanwhile: then another monitor follows it."""
        started = one.known.started
        return await change(
            self._back,
            one.context,
            one.known.instance_id,
            lambda managed: how(managed) if _is_followed(managed, started) else managed,
        )

    def _note(self, known: _Known, shown: _Shown | None) -> None:
        # Status and failure: ports are told by a single look only.
        if known.shown is not None and (shown is None or known.shown[:2] != shown[:2]):
            # It moves: the next step may be near.
            known.changed = self._now
        known.shown, known.applied = shown, shown is not None

    # -- how it ends ----------------------------------------------------------------------------------

    def _is_late(self, one: _Due) -> bool:
        """Whether its time was over before this look, which is its last one: it may run all the same."""
        return self._now > one.known.deadline

    async def _too_late(self, one: _Due) -> None:
        now = at(self._back.waiter.time())
        reason = f"{TIMED_OUT} {round(one.known.allowed * 1000)}ms"
        trouble = self._back.recent.trouble(one.known.instance_id)
        if trouble is not None:
            reason += f"; the last look at it failed: {trouble}"
        await self._change(one, lambda managed: managed.moved(Move.FAIL, now, error=reason))
        self._end(one, GiveUp(error=reason))

    async def _remove(self, one: _Due, managed: Managed) -> None:
        self._end(one, await remove(self._back, one.context, managed))

    def _look_later(self, one: _Due) -> None:
        shortest = self._back.settings.poll_interval
        wait = look_after(self._now - one.known.changed, shortest)
        # Not long after its time has passed, whatever its age.
        self._waits[one.job_id] = max(shortest, min(wait, one.known.deadline - self._now))

    def _put_off(self, one: _Due, error: CallError) -> None:
        _log.debug("%s: could not be looked at: %s", one.known.instance_id, error)
        watch, shortest = self._watch, self._back.settings.poll_interval
        asked = error.retry_after if isinstance(error, ApiError) and error.retry_after else 0.0
        if isinstance(error, RateLimited) and not self._refused:
            self._refused = True
            watch._slower = max(2 * watch._slower, shortest)
        wait = look_after(self._now - one.known.changed, shortest)
        self._waits[one.job_id] = min(_SLOWEST, max(asked, watch._slower, wait))

    def _plan(self) -> None:
        """Say when to look again; counted from now for all of them, so that first and last page stay together."""
        now = self._back.waiter.time()
        again: dict[float, Again] = {}  # thousands wait for the same moment
        for job_id, wait in self._waits.items():
            due = self._watch._ticks.within(wait, now)
            self.answers.setdefault(job_id, again.setdefault(due, Again(due=due)))

    def _look_closely(self, one: _Due) -> None:
        """Look singly, at once, but in a call of its own."""
        one.known.closely = True
        self.answers[one.job_id] = Again()

    def _end(self, one: _Due, outcome: Outcome) -> None:
        self._watch._known.pop(one.job_id, None)
        self._back.recent.forget_trouble(one.known.instance_id)
        self.answers[one.job_id] = outcome


def _is_followed(managed: Managed, started: float) -> bool:
    """Whether *managed* is on the way that began at *started*; one that was started anew has a monitor of its own."""
    times = managed.state.timestamps
    return managed.status in _FOLLOWED and (
        times.started is None or abs(times.started.timestamp() - started) < _SAME
    )


def _is_lean(sight: cloud.Instance) -> bool:
    """Whether *sight* shows a machine that is up and leaves out how to reach it, as listings do."""
    up = sight.status is not None and sight.status.phase is Phase.UP
    return up and (
        connection_of(sight) is None or any(not port.endpoint for port in sight.port_mappings)
    )


def _shown(sight: cloud.Instance) -> _Shown:
    status = sight.status.value if sight.status is not None else None
    return status, sight.failure, ports_of(sight), connection_of(sight)
