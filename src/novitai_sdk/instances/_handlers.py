"""The jobs of managed instances: renting the machine, and following it until it runs.

A create is sent at most once without proof. Before it is sent, the intent is written to the record; the machine carries
our id in its environment. When the answer is lost, or the process was killed in between, the listing is searched for
that id: found, the machine is adopted; missing from complete listings for longer than a request can be under way, the
create did not happen. Nothing else is proof.

No proof reaches a process that stood still between the intent and the send, and sends when it goes on. So whoever hears
of a machine first has it put down, and whoever hears of a second one removes that.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import attrs

from .. import cloud
from .._calling import Async
from ..cloud import CloudInstances, CloudRegistries
from ..cloud._limits import check_create
from ..errors import (
    CallError,
    NotFound,
    UnexpectedReply,
    ValidationError,
)
from ..jobs import (
    Again,
    Change,
    ClaimLost,
    Done,
    GiveUp,
    Handler,
    JobContext,
    NewJob,
    Outcome,
    Together,
)
from ..models import InstanceStatus, Job, JobType, Secret
from ._backstage import INSTANCE_ID, PASSING, Backstage
from ._claimed import change, change_unclaimed, give_up, remove
from ._jobs import TIMED_OUT, create_job, monitor_job
from ._life import Move
from ._records import Intent, Managed, at
from ._ticks import Steady, look_after
from ._watch import Watch

__all__ = ["instance_handlers"]

_log = logging.getLogger("novitai_sdk")

_PASSING: Final = (*PASSING, UnexpectedReply)
_MOST_SENDS: Final = 3
# So that the look after the settling time comes after it, whatever the clock rounds.
_A_MOMENT: Final = 0.01
# Seconds in which a machine that exists is put down, also by an attempt that is called off meanwhile.
_ADOPTION: Final = 30.0


def instance_handlers(back: Backstage[Async]) -> Mapping[str, "Handler | Together"]:
    """Return the handlers of the jobs of managed instances."""
    watch = Watch(back)
    steady = Steady(back.waiter.monotonic, back.waiter.time)

    async def create(job: Job, context: JobContext) -> Outcome:
        return await _Create(back, watch, steady, context, str(job.payload["instanceId"])).run()

    return {JobType.CREATE_INSTANCE.value: create, JobType.MONITOR_INSTANCE.value: watch.handler()}


@attrs.frozen
class _Create:
    """One attempt to bring a machine into being."""

    back: Backstage[Async]
    watch: Watch
    steady: Steady
    context: JobContext
    instance_id: str

    async def run(self) -> Outcome:
        managed = await self.back.managed(self.instance_id)
        if managed is None:
            return GiveUp(error=f"no record of instance {self.instance_id}")
        if managed.state.novita_instance_id is not None:
            return await self._follow(managed)
        if managed.intent is not None:
            return await self._reconcile(managed, managed.intent)
        if not _is_wanted(managed):
            return await self._withheld(managed)
        ends = managed.state.timestamps.created.timestamp() + managed.max_wait
        if self.steady.left(self.instance_id, ends, most=managed.max_wait) < 0:
            self.steady.forget(self.instance_id)
            return await self._fail(f"{TIMED_OUT} {int(managed.max_wait * 1000)}ms")
        try:
            body = await self._body(managed)
        except _PASSING:
            if self.context.last_attempt:
                await self._fail("the cloud could not be reached to prepare the create")
            raise
        except CallError as error:
            return await self._fail_for(error)
        return await self._send(managed, body)

    # -- sending -----------------------------------------------------------------------------------

    async def _send(self, managed: Managed, body: cloud.CreateInstance, sends: int = 1) -> Outcome:
        try:
            check_create(body)
        except ValidationError as error:
            return await self._fail(str(error))
        ours = Intent(at=at(self._now()), sends=sends)
        await self._change(lambda one: _intended(one, ours))
        # This process may have stood still since: another one may have taken over, or somebody deleted it.
        kept = await self.back.managed(self.instance_id)
        if kept is None or kept.intent != ours or not _is_wanted(kept):
            return await self._withheld(kept)
        try:
            created = await CloudInstances.create(self.back.cloud.instances, body)
        except CallError as error:
            if error.resend_safe:
                return await self._refused(error)
            return await self._lost(kept, ours, str(error))
        except Exception as error:  # noqa: BLE001 - whoever raised it did not say that nothing was sent
            _log.exception("the create of %s ended in an unforeseen error", self.instance_id)
            why = f"{type(error).__name__}: {error}"
            return await self._lost(kept, ours, why)
        except BaseException:
            with self.back.waiter.shield(_ADOPTION):
                await self._leave(ours)
            raise
        return await self._adopt(created.id)

    async def _leave(self, intent: Intent) -> None:
        """If the job was cancelled with the request under way: have what comes of it found, and nothing sent again."""
        waiter, claim = self.back.waiter, self.context.claim
        if not await waiter.result(self.back.store.lost([claim])):
            return  # it is handed back: the next attempt looks
        last = attrs.evolve(
            intent, sends=_MOST_SENDS, lost="its job was cancelled", ended=at(self._now())
        )
        managed = await change_unclaimed(
            self.back,
            self.instance_id,
            lambda one: attrs.evolve(one, intent=last) if one.intent == intent else one,
        )
        await self.back.commit(Change(jobs=(create_job(managed, now=self._now()),)))

    async def _withheld(self, managed: Managed | None) -> Outcome:
        """Nothing was sent: it is not ours to send any more, or not wanted."""
        if managed is not None and managed.state.novita_instance_id is not None:
            return await self._follow(managed)
        if managed is not None and managed.deleting:
            await self._nothing_happened()
        return Done()

    async def _refused(self, error: CallError) -> Outcome:
        """It is proven that nothing came of it: try again if it may be different then, or say why not."""
        cleared = await self._nothing_happened()
        if not _is_wanted(cleared):
            return await self._withheld(cleared)
        if isinstance(error, _PASSING) and not self.context.last_attempt:
            raise error
        return await self._fail_for(error)

    async def _lost(self, managed: Managed, intent: Intent, why: str) -> Outcome:
        """Nobody knows whether a machine came of it: look for it."""
        _log.warning(
            "the answer to the create of %s was lost: searching the listing for it: %s",
            self.instance_id,
            why,
        )
        known = attrs.evolve(intent, lost=why, ended=at(self._now()))
        await self._change(lambda one: attrs.evolve(one, intent=known))
        return await self._reconcile(managed, known)

    async def _body(self, managed: Managed) -> cloud.CreateInstance:
        state, wanted = managed.state, managed.state.configuration
        template = await self.back.template(str(state.template_id))
        credential = template.image_auth.reveal() if template.image_auth else ""
        own = (cloud.EnvVar(key=INSTANCE_ID, value=self.instance_id),)
        return cloud.CreateInstance(
            name=state.name,
            product_id=state.product_id,
            gpu_num=wanted.gpu_num,
            rootfs_size=wanted.rootfs_size,
            image_url=template.image or "",
            image_auth=Secret(credential) if ":" in credential else None,
            image_auth_id=await self._credential_id(credential)
            if credential and ":" not in credential
            else None,
            ports=cloud.join_ports(template.port_list) or None,
            envs=(*template.envs, *own),
            command=template.start_command or None,
            entrypoint=template.entrypoint or None,
            cluster_id=managed.cluster_id,
            billing_mode=cloud.BillingMethod(managed.billing_mode),
            min_cuda_version=template.min_cuda_version or None,
        )

    async def _credential_id(self, wanted: str) -> str:
        credentials = await CloudRegistries.list(self.back.cloud.registries)
        if not any(one.id == wanted for one in credentials):
            raise NotFound(
                f"the template's registry credential {wanted} is not among those of this account",
                operation="registries.list",
            )
        return wanted

    # -- after a lost answer ---------------------------------------------------------------------------

    async def _reconcile(self, managed: Managed, intent: Intent) -> Outcome:
        settings = self.back.settings
        age = self._now() - intent.at.timestamp()
        try:
            machine = await self.back.machine_of(
                self.instance_id, name=managed.state.name, since=intent.at
            )
        except CallError as error:
            _log.debug("%s: the listing could not be read: %s", self.instance_id, error)
            self.watch.note_trouble(self.instance_id, error)
            return Again(after=look_after(age, settings.poll_interval))
        self.watch.note_sight(self.instance_id)
        if machine is not None:
            return await self._adopt(machine)
        # Counted from when the request can last have been under way: a slow one that ran into its time limit may
        # have its effect after it, and what it makes may take a moment to be listed.
        # A call waits for the rate limit and tries again what is safe to, so its last request may begin late.
        latest = intent.ended or intent.at + timedelta(seconds=settings.timeout)
        left = self.steady.left(
            self.instance_id,
            latest.timestamp() + settings.settle,
            most=settings.timeout + settings.settle,
        )
        if left >= 0:
            return Again(after=min(look_after(age, settings.poll_interval), left + _A_MOMENT))
        self.steady.forget(self.instance_id)
        cleared = await self._nothing_happened()
        if not _is_wanted(cleared):
            return await self._withheld(cleared)
        if intent.sends >= _MOST_SENDS:
            return await self._fail(
                f"the create was sent {intent.sends} times and no machine came of it: {intent.lost}"
            )
        try:
            body = await self._body(cleared)
        except CallError as error:
            if isinstance(error, _PASSING):
                return Again(after=look_after(age, settings.poll_interval))
            return await self._fail_for(error)
        return await self._send(cleared, body, intent.sends + 1)

    # -- what is written ----------------------------------------------------------------------------------

    async def _adopt(self, machine: str) -> Outcome:
        self.steady.forget(self.instance_id)
        return await self._follow(await self._keep(machine))

    async def _keep(self, machine: str) -> Managed:
        """Put down which machine came of the create, whatever happens meanwhile: nobody else may know of it."""
        with self.back.waiter.shield(_ADOPTION):
            managed = await self._put_down(machine)
            if managed.state.novita_instance_id != machine:
                await self._remove_surplus(managed, machine)
            return managed
        what = f"{machine} came of the create of {self.instance_id}"
        _log.warning("%s and may bill: it could neither be put down nor removed in time", what)
        raise TimeoutError(f"{what}, and that could not be put down in {_ADOPTION:g} s")

    async def _put_down(self, machine: str) -> Managed:
        """Write the id of *machine* into the record, unless that names another one already: the first one stays."""
        now = at(self._now())

        def adopted(one: Managed) -> Managed:
            if one.state.novita_instance_id not in (None, machine):
                return one
            known = attrs.evolve(
                one, intent=None, state=attrs.evolve(one.state, novita_instance_id=machine)
            )
            return known.moved(Move.ACCEPTED, now)

        try:
            return await self._change(adopted)
        except ClaimLost:
            managed = await change_unclaimed(self.back, self.instance_id, adopted)
            # Whoever has the job now may have ended it already, and a cancelled one has nobody.
            await self.back.commit(Change(jobs=(self._monitor(managed),)))
            return managed

    async def _remove_surplus(self, managed: Managed, machine: str) -> None:
        """The create was sent twice, by two processes: one machine is kept."""
        _log.warning(
            "two machines came of the create of %s: %s is kept, %s is removed",
            self.instance_id,
            managed.state.novita_instance_id,
            machine,
        )
        try:
            await self.back.ask_to_remove(machine)
        except CallError as error:
            _log.warning(
                "%s could not be removed and may bill: delete it in the console, or by "
                "instances.delete(%r): %s",
                machine,
                machine,
                error,
            )

    async def _follow(self, managed: Managed) -> Outcome:
        """The machine exists: follow it, or remove it if it was deleted before it was born."""
        if managed.deleting:
            return await remove(self.back, self.context, managed)
        return Done(jobs=(self._monitor(managed),))

    def _monitor(self, managed: Managed) -> NewJob:
        now = self._now()
        return monitor_job(managed, now=now, first_look=self.watch.first_look(now))

    async def _nothing_happened(self) -> Managed:
        """It is proven that no machine came of it; one that was deleted meanwhile is gone with that."""
        now = at(self._now())

        def cleared(one: Managed) -> Managed:
            known = attrs.evolve(one, intent=None)
            return known.moved(Move.DELETE, now) if known.unborn and one.deleting else known

        return await self._change(cleared)

    async def _fail(self, reason: str) -> Outcome:
        return await give_up(self.back, self.context, self.instance_id, reason)

    async def _fail_for(self, error: CallError) -> Outcome:
        return await give_up(self.back, self.context, self.instance_id, str(error), error.code)

    async def _change(self, how: Callable[[Managed], Managed]) -> Managed:
        return await change(self.back, self.context, self.instance_id, how)

    def _now(self) -> float:
        return self.back.waiter.time()


def _intended(one: Managed, intent: Intent) -> Managed:
    """Return *one* with *intent*, if a machine is still wanted of it."""
    return attrs.evolve(one, intent=intent) if _is_wanted(one) else one


def _is_wanted(one: Managed) -> bool:
    """Whether a machine is still to be rented for *one*."""
    return one.status is InstanceStatus.CREATING and not one.deleting
