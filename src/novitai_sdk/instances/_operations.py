"""What can be done with managed instances, step by step; the public faces are thin doors to this."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import attrs

from .. import cloud
from .._asked import check_id, check_progress, check_timeout
from .._calling import Mode
from .._promise import Future
from ..cloud import CloudInstances, CloudStatus, Phase
from ..cloud._refusals import short
from ..errors import (
    CallError,
    CleanupFailed,
    InstanceError,
    InstanceNotFound,
    InstanceStateError,
    InvalidState,
)
from ..jobs import Change, NewJob
from ..models import CreateInstanceRequest, InstanceStatus
from ._backstage import PASSING, Backstage
from ._catalog import choose
from ._errors import about, cannot, no_record, not_given_back, not_gone, not_stopped
from ._instance import Instance, of_details, of_managed
from ._jobs import create_job, monitor_job
from ._life import READY, Move, can, is_gone
from ._progress import OnProgress
from ._records import OWN_ID, Managed, at, write_of
from ._sight import details_of, may_come_yet, phase_of, seen, trouble_with
from ._wait import wait_for_unmanaged, wait_until_ready
from ._wanted import checked, planned

T = TypeVar("T")

__all__ = ["Operations"]

_log = logging.getLogger("novitai_sdk")

_LOOK_AGAIN: Final = 0.5
_LONGEST_LOOK: Final = 5.0
# How long a cancelled create may take to undo what it had written.
_UNDO: Final = 10.0
# Seconds after which a job removes what somebody asked to delete, if he did not live to see it gone.
_HANDS_OFF: Final = 10.0
# For how long one that was seen to be ready is believed to be so still.
_BELIEVED: Final = timedelta(seconds=60)
_STARTABLE: Final = "it can be started when it is stopped or failed"
_ENDED: Final = frozenset({InstanceStatus.STOPPED, InstanceStatus.EXITED})


@attrs.frozen
class _Deadline:
    """Until when somebody waits: *timeout* is what was asked for, *ends* is on the monotonic clock; seconds."""

    timeout: float
    ends: float


class Operations(Generic[Mode]):
    """Everything a managed instance can be asked to do, as coroutines over ports."""

    __slots__ = ("_back",)

    def __init__(self, back: Backstage[Mode]) -> None:
        self._back = back

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._back.waiter.mode

    async def make(
        self,
        request: CreateInstanceRequest | None = None,
        *,
        max_wait: float | None = None,
        told: Callable[[str], object] = str,
        **options: Any,
    ) -> Instance[Mode]:
        """`create`; *told* is called with the id before anything is stored, so that somebody can clean up."""
        back = self._back
        wanted = checked(request, options, max_wait, back.settings)
        back.check_runner()
        choice = await choose(back.cloud, wanted, back.recent)
        template = await back.template(str(wanted.template_id))
        now = back.waiter.time()
        patience = back.settings.startup_timeout if max_wait is None else float(max_wait)
        managed = planned(wanted, choice, template, now=now, max_wait=patience)
        made = of_managed(managed, self)
        told(made.id)
        await self._accept(
            managed, Change(writes=(write_of(managed, 0),), jobs=(create_job(managed, now=now),))
        )
        return made

    async def wait_for(
        self,
        instance_id: str,
        *,
        timeout: float,
        progress: bool | None,
        on_progress: OnProgress | None,
        rented: bool = False,
    ) -> Instance[Mode]:
        """`Instance.wait_until_ready`; one that is *rented* is given back by the caller if it does not become so."""
        check_progress(on_progress)
        instance_id = await self._known_as(instance_id, timeout)
        managed = await self._back.managed(instance_id)
        if managed is None:
            return await wait_for_unmanaged(
                self._back,
                lambda left: self._look_within(instance_id, left),
                timeout=timeout,
                progress=progress,
                on_progress=on_progress,
            )
        if managed.status in READY and self._is_old(managed):
            # The cloud takes machines back without a word, and nobody looks at one that is ready.
            with suppress(*PASSING):
                await self._look_within(instance_id, timeout)
        return await wait_until_ready(
            self._back,
            self,
            instance_id,
            timeout=timeout,
            progress=progress,
            on_progress=on_progress,
            rented=rented,
        )

    async def look(self, instance_id: str) -> Instance[Mode]:
        """`get`."""
        return await self._look_within(await self._known_as(instance_id))

    async def _look_within(self, instance_id: str, within: float | None = None) -> Instance[Mode]:
        with about(instance_id):
            return await self._look(instance_id, within)

    async def _look(self, instance_id: str, within: float | None = None) -> Instance[Mode]:
        managed = await self._back.managed(instance_id)
        if managed is None:
            return await self._look_abroad(instance_id, within)
        machine = managed.state.novita_instance_id
        if machine is None or managed.status is InstanceStatus.TERMINATED:
            return of_managed(managed, self)
        return await self._note(managed, await self._back.sight(machine, within=within))

    async def begin(self, instance_id: str) -> Instance[Mode]:
        """`start`."""
        instance_id = await self._known_as(instance_id)
        with about(instance_id):
            return await self._begin(await self._look(instance_id))

    async def _begin(self, seen_now: Instance[Mode]) -> Instance[Mode]:
        machine = seen_now.novita_instance_id
        if not seen_now.managed:
            await self._start(seen_now, seen_now.id)
            return await self._look(seen_now.id)
        if not can(seen_now.status, Move.START) or machine is None:
            raise cannot(seen_now, "start", _STARTABLE, self._now())
        await self._start(seen_now, machine)
        now = self._back.waiter.time()
        first_look = now + self._back.settings.poll_interval
        # With the job that follows it, or a process that ends here would leave it started and unwatched.
        return await self._record(
            seen_now.id,
            lambda managed: managed.restarted(at(now)),
            lambda managed: (monitor_job(managed, now=now, first_look=first_look),),
        )

    async def _start(self, one: Instance[Mode], machine: str) -> None:
        try:
            await CloudInstances.start(self._back.cloud.instances, machine)
        except InvalidState as error:
            # Somebody else was first: it is on its way, which is what was wanted.
            asleep = can(one.status, Move.START)
            if not asleep or not await self._is_at(machine, Phase.UP, Phase.PROVISIONING):
                raise cannot(one, "start", error.message, self._now()) from error

    async def halt(self, instance_id: str, *, timeout: float) -> Instance[Mode]:
        """`stop`."""
        instance_id = await self._known_as(instance_id, timeout)
        deadline = self._deadline(timeout)
        with about(instance_id):
            one = await self._look(instance_id, timeout)
            if one.status in _ENDED:
                return one
            one = await self._stop(one, deadline)
            if timeout <= 0:
                return one
            return await self._until_stopped(one, deadline)

    async def _stop(self, one: Instance[Mode], deadline: _Deadline) -> Instance[Mode]:
        """Ask the cloud to stop a machine that does not stop yet."""
        machine = one.novita_instance_id
        if machine is None:
            raise cannot(one, "stop", "there is no machine yet; delete it instead", self._now())
        stopping = one.status is InstanceStatus.STOPPING
        # A stop that the cloud took and did not carry out can be asked for again.
        if stopping and CloudStatus(one.phase or "").phase is not Phase.UP:
            return one
        if one.managed and not stopping and not can(one.status, Move.STOP):
            raise cannot(
                one, "stop", "only a machine that runs or comes up can be stopped", self._now()
            )
        try:
            await self._back.ask_to_stop(machine, within=self._left(deadline))
        except InvalidState as error:
            if not await self._is_at(machine, Phase.STOPPED, Phase.STOPPING):
                raise cannot(one, "stop", error.message, self._now()) from error
        if not one.managed:
            return one
        now = self._now()
        return await self._record(
            one.id, lambda kept: attrs.evolve(kept, phase=None).moved(Move.STOP, now)
        )

    async def remove(
        self, instance_id: str, *, timeout: float, recorded: bool = False
    ) -> Instance[Mode]:
        """`delete`; with *recorded*, only what this store has a record of."""
        instance_id = await self._known_as(instance_id, timeout)
        deadline = self._deadline(timeout)
        with about(instance_id):
            managed = await self._mark_deleted(instance_id)
            if managed is None:
                if recorded:
                    raise no_record(instance_id)
                return await self._remove_foreign(instance_id, deadline)
            if managed.state.novita_instance_id is None:
                managed = await self._until_known(managed, deadline)
            machine = managed.state.novita_instance_id
            if machine is None or managed.status is InstanceStatus.TERMINATED:
                return of_managed(managed, self)
            try:
                await self._remove_machine(of_managed(managed, self), machine, deadline)
            except InstanceStateError:
                # It stays, as the caller is told: nobody may remove it behind his back later on.
                if not recorded:
                    await self._back.change(instance_id, _kept)
                raise
            return await self._note(managed, None)

    async def insist(
        self, work: Callable[[], Awaitable[T]], interrupted: Callable[[], object]
    ) -> T:
        """Do *work* to its end, also if the caller is cancelled or Ctrl-C is pressed meanwhile."""
        return await self._back.waiter.insist(work, interrupted)

    def not_removed(self, instance_id: str, last: Instance[Mode] | None, why: str) -> CleanupFailed:
        """Return the error for a machine that could not be given back, because of *why*."""
        return not_given_back(instance_id, last, why, self._now())

    # -- steps ---------------------------------------------------------------------------------------

    async def _known_as(self, instance_id: str, timeout: float = 0.0) -> str:
        """Return the id an instance is kept under. Raises ValidationError for what is no id or no *timeout*."""
        check_id(instance_id)
        check_timeout(timeout)
        return await self._back.own_id(instance_id)

    def _deadline(self, timeout: float) -> _Deadline:
        return _Deadline(timeout, self._back.waiter.monotonic() + timeout)

    def _left(self, deadline: _Deadline) -> float:
        return max(0.0, deadline.ends - self._back.waiter.monotonic())

    async def _is_at(self, machine: str, *phases: Phase) -> bool:
        sight = await self._back.sight(machine)
        return sight is not None and sight.status is not None and sight.status.phase in phases

    async def _accept(self, managed: Managed, change: Change) -> None:
        """Store a create; if the caller leaves in the middle, take it back: nobody would know of the machine."""
        stored: Future[None] | None = None
        try:
            stored = self._back.store.commit(change)
            await self._back.waiter.result(stored)
            self._back.runner.ensure_started()
        except BaseException:
            # Ctrl-C may come between any two instructions, also before the store's answer has a name here.
            if stored is None or not _came_to_nothing(stored):
                await self._back.waiter.insist(lambda: self._take_back(managed.id), _nothing_to_say)
            raise

    async def _take_back(self, instance_id: str) -> None:
        # A store does things in order: once this nothing is done, what was asked for before it is done too.
        await self._back.commit(Change())
        with suppress(InstanceNotFound):
            await self.remove(instance_id, timeout=_UNDO, recorded=True)

    async def _mark_deleted(self, instance_id: str) -> Managed | None:
        """Say in the record that it is to go; one that was never asked for is gone with that."""
        now = self._back.waiter.time()

        again = False

        def marked(one: Managed) -> Managed:
            nonlocal again
            again = one.deleting
            # Decided on what the record says at this moment: a machine that was born since is not gone yet, and where
            # a create was sent that was never answered, nobody knows.
            going = attrs.evolve(one, deleting=True)
            return going.moved(Move.DELETE, at(now)) if one.unborn else going

        def job(one: Managed) -> tuple[NewJob, ...]:
            # Should whoever waits for the end be killed, or pressed Ctrl-C: it is removed all the same.
            if one.status is InstanceStatus.TERMINATED:
                return ()
            if one.state.novita_instance_id is None:
                return (create_job(one, now=now),)
            # By a key of its own: the one that followed it up may just be ending.
            follow = monitor_job(one, now=now, first_look=now + _HANDS_OFF)
            return (attrs.evolve(follow, key=f"remove:{one.id}"),)

        managed = await self._back.change(instance_id, marked, job)
        if managed is not None:
            if again:
                # What was marked before is not written anew, and the job of that time may have given up.
                await self._back.commit(Change(jobs=job(managed)))
            self._back.runner.ensure_started()
        return managed

    async def _until_known(self, managed: Managed, deadline: _Deadline) -> Managed:
        """Wait until the create job knows whether a machine came of a create that is under way."""

        async def look() -> Managed | None:
            kept = await self._back.managed(managed.id)
            self._back.check_runner()
            self._back.runner.ensure_started()
            return kept if kept is not None and kept.intent is None else None

        return await self._poll(
            look,
            deadline,
            lambda: not_gone(of_managed(managed, self), deadline.timeout, self._now()),
        )

    async def _remove_foreign(self, instance_id: str, deadline: _Deadline) -> Instance[Mode]:
        seen_now = await self._look_abroad(instance_id, self._left(deadline))
        await self._remove_machine(seen_now, seen_now.id, deadline)
        return attrs.evolve(seen_now, status=InstanceStatus.TERMINATED)

    async def _remove_machine(self, one: Instance[Mode], machine: str, deadline: _Deadline) -> None:
        """Ask the cloud to remove a machine, and see that it goes."""
        last: list[cloud.Instance | None] = [None]
        looks = 0
        known = False

        async def look() -> bool | None:
            nonlocal looks, known
            if not known:
                known = await self._ask_to_remove(one, machine, deadline)
                if not known and self._may_come_yet(one):
                    return None
                known = True
            looks += 1
            # Mostly it is gone at once: who gives back many must not wait in line to be told.
            last[0] = await self._back.sight(
                machine, urgent=looks == 1, within=self._left(deadline)
            )
            return is_gone(last[0]) or None

        def too_late() -> CleanupFailed:
            phase = (last[0] and phase_of(last[0])) or one.phase
            return not_gone(attrs.evolve(one, phase=phase), deadline.timeout, self._now())

        await self._poll(look, deadline, too_late)

    async def _ask_to_remove(self, one: Instance[Mode], machine: str, deadline: _Deadline) -> bool:
        try:
            return await self._back.ask_to_remove(machine, within=self._left(deadline))
        except InvalidState as error:
            raise cannot(one, "delete", error.message, self._now()) from error

    def _may_come_yet(self, one: Instance[Mode]) -> bool:
        """Whether a machine that was not found may appear all the same."""
        now = self._now()
        return one.managed and may_come_yet(one.phase, one.started_at or one.created_at, now)

    async def _look_abroad(self, instance_id: str, within: float | None = None) -> Instance[Mode]:
        """Find a machine without a record here: by the cloud's id, or by the id it carries from another store."""
        ours = instance_id.startswith(OWN_ID)
        machine = await self._back.machine_of(instance_id, within=within) if ours else instance_id
        sight = None if machine is None else await self._back.sight(machine, within=within)
        if sight is None:
            named = "" if ours else "; by its name nothing is found, list() shows the ids"
            raise InstanceNotFound(
                f"no instance {short(instance_id)}: not in this store, not in this account{named}",
                instance_id=instance_id,
            )
        return self._foreign(sight)

    def _foreign(self, sight: cloud.Instance) -> Instance[Mode]:
        return of_details(
            details_of(sight, self._now()),
            self,
            novita_instance_id=sight.id,
            phase=phase_of(sight),
            failure=trouble_with(sight),
        )

    async def _note(self, managed: Managed, sight: cloud.Instance | None) -> Instance[Mode]:
        now = self._now()
        return await self._record(managed.id, lambda one: seen(one, sight, now))

    async def _record(
        self,
        instance_id: str,
        change: Callable[[Managed], Managed],
        also: Callable[[Managed], tuple[NewJob, ...]] | None = None,
    ) -> Instance[Mode]:
        if also is None:
            changed = await self._back.change(instance_id, change)
        else:
            changed = await self._back.change(instance_id, change, also)
            self._back.runner.ensure_started()
        if changed is None:
            raise no_record(instance_id)
        return of_managed(changed, self)

    async def all(self, include_unmanaged: bool) -> tuple[Instance[Mode], ...]:
        managed, unreadable = await self._back.everything()
        kept = [one for one in managed if one.status is not InstanceStatus.TERMINATED]
        listed: dict[str, cloud.Instance] = {}
        if include_unmanaged or unreadable or any(one.state.novita_instance_id for one in kept):
            listed = {one.id: one for one in await CloudInstances.list(self._back.cloud.instances)}
        found: list[Instance[Mode]] = []
        # One time limit for all that have to be looked up: a cloud that hangs must not take it for each of them.
        looks = self._deadline(self._back.settings.timeout)
        for one in kept:
            machine = one.state.novita_instance_id
            shown = None if machine is None else listed.pop(machine, None)
            noted = await self._note_listed(one, shown, looks)
            if noted.status is not InstanceStatus.TERMINATED:
                found.append(noted)
        # A machine whose record cannot be read bills like any other.
        found += [
            self._foreign(sight)
            for machine, sight in listed.items()
            if (include_unmanaged or machine in unreadable) and not is_gone(sight)
        ]
        return tuple(sorted(found, key=lambda one: one.created_at, reverse=True))

    async def _note_listed(
        self, managed: Managed, listed: cloud.Instance | None, looks: _Deadline
    ) -> Instance[Mode]:
        machine = managed.state.novita_instance_id
        if machine is None or (listed is None and self._left(looks) <= 0):
            return of_managed(managed, self)
        if listed is None:
            # No listing, however complete, proves that it is gone: entries move while its pages are read. That says
            # only the cloud's own answer; without one it is shown as it was seen the last time.
            try:
                listed = await self._back.sight(machine, within=self._left(looks))
            except CallError as error:
                _log.warning(
                    "instance %s is on no page of the listing, and the look at it failed: %s",
                    managed.id,
                    error,
                )
                return of_managed(managed, self)
        return await self._note(managed, listed)

    async def _until_stopped(self, one: Instance[Mode], deadline: _Deadline) -> Instance[Mode]:
        last = [one]

        async def look() -> Instance[Mode] | None:
            try:
                last[:] = [await self._look(one.id, self._left(deadline))]
            except InstanceNotFound:
                return attrs.evolve(last[0], status=InstanceStatus.TERMINATED)
            done = last[0].status in _ENDED or last[0].status is InstanceStatus.TERMINATED
            return last[0] if done else None

        return await self._poll(
            look, deadline, lambda: not_stopped(last[0], deadline.timeout, self._now())
        )

    async def _poll(
        self,
        look: Callable[[], Awaitable[T | None]],
        deadline: _Deadline,
        too_late: Callable[[], InstanceError],
    ) -> T:
        waiter, wait = self._back.waiter, _LOOK_AGAIN
        while True:
            trouble: CallError | None = None
            try:
                found = await look()
            except PASSING as error:
                found, trouble = None, error
            if found is not None:
                return found
            left = deadline.ends - waiter.monotonic()
            if left <= 0:
                late = too_late()
                late.reason = late.reason or (None if trouble is None else str(trouble))
                raise late from trouble
            await waiter.sleep(min(wait, left))
            wait = min(wait * 1.5, _LONGEST_LOOK)

    def _is_old(self, managed: Managed) -> bool:
        """Whether it is long ago that it was seen to be ready."""
        ready = managed.state.timestamps.ready
        return ready is None or self._now() - ready > _BELIEVED

    def _now(self) -> datetime:
        return at(self._back.waiter.time())


def _came_to_nothing(stored: "Future[None]") -> bool:
    """Whether a change was withdrawn in time, or refused by the store."""
    return stored.cancelled() or (stored.done() and stored.exception() is not None)


def _kept(one: Managed) -> Managed:
    return attrs.evolve(one, deleting=False)


def _nothing_to_say() -> None:
    """Whoever leaves a create before it has returned knows of no machine."""
