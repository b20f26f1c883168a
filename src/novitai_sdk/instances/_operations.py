"""What can be done with managed instances, step by step; the public faces are thin doors to this."""

import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, Generic, TypedDict, TypeVar

import attrs

from .. import cloud, validation
from .._calling import Mode
from .._convert import camel
from ..cloud import CloudInstances, Phase
from ..errors import (
    CleanupFailed,
    InstanceNotFound,
    InstanceStateError,
    InvalidState,
    ValidationError,
    WaitTimedOut,
)
from ..jobs import Change
from ..models import (
    BillingMode,
    Configuration,
    CreateInstanceRequest,
    InstanceState,
    InstanceStatus,
    Port,
    Timestamps,
)
from ..models._rules import FAILED, https_address
from ._backstage import Backstage
from ._catalog import Choice, choose
from ._instance import Instance, of_details, of_managed
from ._jobs import create_job, monitor_job
from ._life import Move, can, is_gone
from ._progress import OnProgress
from ._records import Managed, at, write_of
from ._sight import details_of, seen
from ._wait import wait_until_ready

T = TypeVar("T")

__all__ = ["CreateOptions", "Operations", "new_instance_id"]

_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_LOOK_AGAIN: Final = 0.5
_LONGEST_LOOK: Final = 5.0
# How long a cancelled create may take to undo what it had written.
_UNDO: Final = 10.0
_STARTABLE: Final = "it can be started when it is stopped or failed"


class CreateOptions(TypedDict, total=False):
    """What to rent; see ``instances.create``."""

    name: str
    product_name: str
    template_id: str | int | float
    gpu_num: int | str
    rootfs_size: int | str
    region: str
    webhook_url: str
    billing_mode: BillingMode | str


def new_instance_id(now: float) -> str:
    """Return a fresh instance id; *now* is seconds since 1970."""
    return f"inst_{int(now * 1000)}_{''.join(secrets.choice(_ALPHABET) for _ in range(7))}"


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
        wanted = self._checked(request, options)
        back.check_runner()
        choice = await choose(back.cloud, wanted, back.recent)
        template = await back.template(str(wanted.template_id))
        now = back.waiter.time()
        managed = _planned(
            wanted, choice, template, now=now, max_wait=max_wait or back.settings.startup_timeout
        )
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
    ) -> Instance[Mode]:
        """`Instance.wait_until_ready`."""
        return await wait_until_ready(
            self._back,
            self,
            instance_id,
            timeout=timeout,
            progress=progress,
            on_progress=on_progress,
        )

    async def look(self, instance_id: str) -> Instance[Mode]:
        """`get`."""
        managed = await self._back.managed(instance_id)
        if managed is None:
            return await self._look_abroad(instance_id)
        machine = managed.state.novita_instance_id
        if machine is None or managed.status is InstanceStatus.TERMINATED:
            return of_managed(managed, self)
        return await self._note(managed, await self._back.sight(machine))

    async def begin(self, instance_id: str) -> Instance[Mode]:
        """`start`."""
        seen_now = await self.look(instance_id)
        if not seen_now.managed:
            await CloudInstances.start(self._back.cloud.instances, instance_id)
            return await self.look(instance_id)
        if not can(seen_now.status, Move.START) or seen_now.novita_instance_id is None:
            raise self._cannot(seen_now, "start", _STARTABLE)
        try:
            await CloudInstances.start(self._back.cloud.instances, seen_now.novita_instance_id)
        except InvalidState:
            # Somebody else was first: it is on its way, which is what was wanted.
            sight = await self._back.sight(seen_now.novita_instance_id)
            if (
                sight is None
                or sight.status is None
                or sight.status.phase not in (Phase.UP, Phase.PROVISIONING)
            ):
                raise
        now = self._back.waiter.time()
        first_look = now + self._back.settings.poll_interval
        return await self._record(
            instance_id,
            lambda managed: attrs.evolve(managed, phase=None).moved(Move.START, at(now)),
            lambda managed: Change(jobs=(monitor_job(managed, now=now, first_look=first_look),)),
        )

    async def halt(self, instance_id: str, *, timeout: float) -> Instance[Mode]:
        """`stop`."""
        seen_now = await self.look(instance_id)
        machine = seen_now.novita_instance_id
        if machine is None:
            raise self._cannot(seen_now, "stop", "there is no machine yet; delete it instead")
        if seen_now.status in (InstanceStatus.STOPPED, InstanceStatus.EXITED):
            return seen_now
        if (
            seen_now.managed
            and not can(seen_now.status, Move.STOP)
            and seen_now.status is not InstanceStatus.STOPPING
        ):
            raise self._cannot(
                seen_now, "stop", "only a machine that runs or comes up can be stopped"
            )
        if seen_now.status is not InstanceStatus.STOPPING:
            try:
                await CloudInstances.stop(self._back.cloud.instances, machine)
            except InvalidState as error:
                sight = await self._back.sight(machine)
                if (
                    sight is None
                    or sight.status is None
                    or sight.status.phase not in (Phase.STOPPED, Phase.STOPPING)
                ):
                    raise self._cannot(seen_now, "stop", error.message) from error
            if seen_now.managed:
                now = at(self._back.waiter.time())
                seen_now = await self._record(
                    instance_id, lambda one: attrs.evolve(one, phase=None).moved(Move.STOP, now)
                )
        if timeout <= 0:
            return seen_now
        return await self._until(
            seen_now.id,
            lambda one: (
                one.status
                in (InstanceStatus.STOPPED, InstanceStatus.EXITED, InstanceStatus.TERMINATED)
            ),
            timeout,
            self._not_stopped,
        )

    async def remove(
        self, instance_id: str, *, timeout: float, recorded: bool = False
    ) -> Instance[Mode]:
        """`delete`; with *recorded*, only what this store has a record of."""
        ends = self._back.waiter.monotonic() + timeout
        managed = await self._mark_deleted(instance_id)
        if managed is None:
            if recorded:
                raise InstanceNotFound(
                    f"no record of instance {instance_id}", instance_id=instance_id
                )
            return await self._remove_foreign(instance_id, timeout)
        if managed.state.novita_instance_id is None:
            managed = await self._until_known(managed, timeout)
        machine = managed.state.novita_instance_id
        if machine is None:
            return of_managed(managed, self)
        left = max(0.0, ends - self._back.waiter.monotonic())
        await self._remove_machine(of_managed(managed, self), machine, left)
        return await self._note(managed, None)

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        """Hold off cancellation for a clean-up."""
        return self._back.waiter.shield(seconds)

    # -- steps ---------------------------------------------------------------------------------------

    def _checked(self, request: object, options: dict[str, Any]) -> CreateInstanceRequest:
        if request is not None and options:
            raise TypeError("give a CreateInstanceRequest or its fields, not both")
        if request is not None and not isinstance(request, CreateInstanceRequest):
            raise TypeError(
                "instances.create() takes a CreateInstanceRequest, or its fields by name, "
                f"not {type(request).__name__}"
            )
        known = CreateOptions.__annotations__.keys()
        unknown = sorted(set(options) - known)
        if unknown:
            raise TypeError(
                f"instances.create() got unexpected arguments: {', '.join(unknown)}; it takes {', '.join(known)}"
            )
        if request is not None:
            options = {name: getattr(request, name) for name in known}
        given = {camel(name): value for name, value in options.items() if value is not None}
        settings = self._back.settings
        result = validation.validate_create_instance(given, regions=settings.regions)
        problems = result.error.details if result.error is not None else ()
        if not settings.webhook_allow_http and "webhookUrl" in given:
            # What is no URL at all is a problem of either rule, and told once.
            found = https_address("webhookUrl", given["webhookUrl"]).details
            problems = (*problems, *(one for one in found if one not in problems))
        if result.error is not None or problems:
            raise ValidationError(FAILED, problems)
        if request is not None:
            return attrs.evolve(request, regions=settings.regions)
        return result.value

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
                with self._back.waiter.shield(_UNDO):
                    await self._take_back(managed.id)
            raise

    async def _take_back(self, instance_id: str) -> None:
        # A store does things in order: once this nothing is done, what was asked for before it is done too.
        await self._back.commit(Change())
        with suppress(InstanceNotFound):
            await self.remove(instance_id, timeout=_UNDO, recorded=True)

    async def _mark_deleted(self, instance_id: str) -> Managed | None:
        """Say in the record that it is to go; one without a machine is gone with that."""
        now = at(self._back.waiter.time())

        def marked(one: Managed) -> Managed:
            # Decided on what the record says at this moment: a machine that was born since is not gone yet.
            going = attrs.evolve(one, deleting=True)
            return going if one.state.novita_instance_id else going.moved(Move.DELETE, now)

        managed = await self._back.change(instance_id, marked)
        if managed is not None:
            self._back.runner.ensure_started()
        return managed

    async def _until_known(self, managed: Managed, timeout: float) -> Managed:
        """Wait until the create job knows whether a machine came of a create that is under way."""

        async def look() -> Managed | None:
            kept = await self._back.managed(managed.id)
            self._back.check_runner()
            return kept if kept is not None and kept.intent is None else None

        return await self._poll(
            look, timeout, lambda: self._not_gone(of_managed(managed, self), timeout)
        )

    async def _remove_foreign(self, instance_id: str, timeout: float) -> Instance[Mode]:
        seen_now = await self._look_abroad(instance_id)
        await self._remove_machine(seen_now, seen_now.id, timeout)
        return attrs.evolve(seen_now, status=InstanceStatus.TERMINATED)

    async def _remove_machine(self, one: Instance[Mode], machine: str, timeout: float) -> None:
        """Ask the cloud to remove a machine, and see that it goes."""
        try:
            await self._back.ask_to_remove(machine)
        except InvalidState as error:
            raise self._cannot(one, "delete", error.message) from error
        last: list[cloud.Instance | None] = [None]
        looks = 0

        async def look() -> bool | None:
            nonlocal looks
            looks += 1
            # Mostly it is gone at once: who gives back many must not wait in line to be told.
            last[0] = await self._back.sight(machine, urgent=looks == 1)
            return is_gone(last[0]) or None

        def too_late() -> CleanupFailed:
            status = last[0].status if last[0] is not None else None
            phase = one.phase if status is None else status.value
            return self._not_gone(attrs.evolve(one, phase=phase), timeout)

        await self._poll(look, timeout, too_late)

    async def _look_abroad(self, instance_id: str) -> Instance[Mode]:
        """Find a machine without a record here: by the cloud's id, or by the id it carries from another store."""
        ours = instance_id.startswith("inst_")
        machine = await self._back.machine_of(instance_id) if ours else instance_id
        sight = None if machine is None else await self._back.sight(machine)
        if sight is None:
            raise InstanceNotFound(
                f"no instance {instance_id}: not in this store, not in this account",
                instance_id=instance_id,
            )
        return self._foreign(sight)

    def _foreign(self, sight: cloud.Instance) -> Instance[Mode]:
        return of_details(
            details_of(sight, at(self._back.waiter.time())),
            self,
            novita_instance_id=sight.id,
            phase=None if sight.status is None else sight.status.value,
            failure=sight.failure,
        )

    async def _note(self, managed: Managed, sight: cloud.Instance | None) -> Instance[Mode]:
        now = at(self._back.waiter.time())
        return await self._record(managed.id, lambda one: seen(one, sight, now))

    async def _record(
        self,
        instance_id: str,
        change: Callable[[Managed], Managed],
        and_then: Callable[[Managed], Change] | None = None,
    ) -> Instance[Mode]:
        changed = await self._back.change(instance_id, change)
        if changed is None:
            raise InstanceNotFound(f"no record of instance {instance_id}", instance_id=instance_id)
        if and_then is not None:
            await self._back.commit(and_then(changed))
            self._back.runner.ensure_started()
        return of_managed(changed, self)

    async def all(self, include_unmanaged: bool) -> tuple[Instance[Mode], ...]:
        kept = [
            one
            for one in await self._back.everything()
            if one.status is not InstanceStatus.TERMINATED
        ]
        if not kept and not include_unmanaged:
            return ()
        listed = {one.id: one for one in await CloudInstances.list(self._back.cloud.instances)}
        found: list[Instance[Mode]] = []
        for managed in kept:
            machine = managed.state.novita_instance_id
            if machine is None:
                found.append(of_managed(managed, self))
                continue
            noted = await self._note(managed, listed.pop(machine, None))
            if noted.status is not InstanceStatus.TERMINATED:
                found.append(noted)
        if include_unmanaged:
            found += [self._foreign(sight) for sight in listed.values() if not is_gone(sight)]
        return tuple(sorted(found, key=lambda one: one.created_at, reverse=True))

    async def _until(
        self,
        instance_id: str,
        done: Callable[[Instance[Mode]], bool],
        timeout: float,
        too_late: Callable[[Instance[Mode], float], Exception],
    ) -> Instance[Mode]:
        last: list[Instance[Mode]] = []

        async def look() -> Instance[Mode] | None:
            try:
                last[:] = [await self.look(instance_id)]
            except InstanceNotFound:
                if not last:
                    raise
                return attrs.evolve(last[0], status=InstanceStatus.TERMINATED)
            return last[0] if done(last[0]) else None

        return await self._poll(look, timeout, lambda: too_late(last[0], timeout))

    async def _poll(
        self,
        look: Callable[[], Awaitable[T | None]],
        timeout: float,
        too_late: Callable[[], Exception],
    ) -> T:
        waiter = self._back.waiter
        ends, wait = waiter.monotonic() + timeout, _LOOK_AGAIN
        while True:
            found = await look()
            if found is not None:
                return found
            left = ends - waiter.monotonic()
            if left <= 0:
                raise too_late()
            await waiter.sleep(min(wait, left))
            wait = min(wait * 1.5, _LONGEST_LOOK)

    # -- errors -------------------------------------------------------------------------------------

    def _cannot(self, one: Instance[Mode], what: str, why: str) -> InstanceStateError:
        return InstanceStateError(
            f"instance {one.id} cannot {what} while it is {one.status}: {why}",
            action=what,
            instance_id=one.id,
            last=one,
            phase=one.phase,
            reason=why,
        )

    def _not_stopped(self, one: Instance[Mode], timeout: float) -> WaitTimedOut:
        return WaitTimedOut(
            f"instance {one.id} was asked to stop but is {one.phase or one.status} after "
            f"{timeout:g} s; it may still bill",
            instance_id=one.id,
            last=one,
            phase=one.phase,
            elapsed=timeout,
        )

    def _not_gone(self, one: Instance[Mode], timeout: float) -> CleanupFailed:
        return CleanupFailed(
            f"instance {one.id} was asked to be deleted but is {one.phase or one.status} after {timeout:g} s; it may "
            f"still bill. Delete it again, or in the console: it carries NOVITAI_INSTANCE_ID={one.id}",
            instance_id=one.id,
            last=one,
            phase=one.phase,
            elapsed=timeout,
        )


def _planned(
    wanted: CreateInstanceRequest,
    choice: Choice,
    template: cloud.Template,
    *,
    now: float,
    max_wait: float,
) -> Managed:
    """Return the record of a machine that is about to be rented."""
    state = InstanceState(
        id=new_instance_id(now),
        name=wanted.name,
        status=InstanceStatus.CREATING,
        product_id=choice.product.id,
        template_id=wanted.template_id,
        configuration=Configuration(
            gpu_num=wanted.gpu_num,
            rootfs_size=wanted.rootfs_size,
            region=wanted.region,
            image_url=template.image or "",
            # Env values and the credential are read again when they are sent; what is not stored cannot leak.
            ports=tuple(Port(port=one.port, type=one.type.value) for one in template.port_list),
            envs=(),
        ),
        timestamps=Timestamps(created=at(now)),
        webhook_url=wanted.webhook_url,
    )
    return Managed(
        state=state,
        product_name=wanted.product_name,
        cluster_id=choice.region.cluster_id,
        billing_mode=wanted.billing_mode.value,
        hourly_price=choice.hourly_price,
        max_wait=max_wait,
    )


def _came_to_nothing(stored: "Future[None]") -> bool:
    """Whether a change was withdrawn in time, or refused by the store."""
    return stored.cancelled() or (stored.done() and stored.exception() is not None)
