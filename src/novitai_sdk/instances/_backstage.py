"""What stands behind managed instances."""

import logging
import re
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol

import attrs

from .._calling import Mode
from .._waiting import Waiter
from ..cloud import Cloud, CloudInstances, CloudTemplates, Instance, Template
from ..cloud._paging import PAGE_SIZE, Walk
from ..errors import (
    InvalidState,
    JobError,
    NotFound,
    RateLimited,
    ServerFailed,
    TransportFailed,
    UnexpectedReply,
)
from ..jobs import Change, NewJob, Record, Store
from ..settings import Settings
from ._jobs import webhook_jobs
from ._life import is_gone
from ._recent import TEMPLATES_LAST, Recent
from ._records import KIND, OWN_ID, Managed, machine_in, read_record, rewrite

# A wrong base URL: it says nothing of any machine, and all of them would be taken for gone.
_NO_SUCH_ROUTE: Final = "API_NOT_FOUND"

# How often, and at most how many seconds apart, the cloud has to answer with nothing before a machine that no
# listing has is gone.
_LOOKS: Final = 3
_BETWEEN_LOOKS: Final = 1.0

# Seconds a call is given in any case: one that ends a bill is not to be cut off as soon as it is sent.
_A_CALL: Final = 5.0

# Between the cloud's clock, which tells whole seconds, and the one of this machine.
_CLOCKS_DIFFER: Final = timedelta(seconds=60)

# An id of ours; anything else, such as stars, tells nothing.
_OURS: Final = re.compile(rf"{OWN_ID}\w+", re.ASCII)

_log = logging.getLogger("novitai_sdk")

INSTANCE_ID: Final = "NOVITAI_INSTANCE_ID"
"""The environment variable in which a machine carries the id this library gave it."""

PASSING: Final = (TransportFailed, RateLimited, ServerFailed)
"""What may be different in a moment. In the middle of a wait it says nothing about the machine; the deadline does."""

__all__ = ["INSTANCE_ID", "PASSING", "Backstage", "RunnerHost"]


class RunnerHost(Protocol):
    """Whoever runs the jobs of this client."""

    @property
    def error(self) -> BaseException | None:
        """Why the runner is dead, or None."""
        ...

    def ensure_started(self) -> None:
        """Start running jobs if nobody does yet."""
        ...

    def on_end(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Have *listener* called, on any thread, when the runner has died or was stopped; returns what ends that."""
        ...


def _nothing(_: Managed) -> tuple[NewJob, ...]:
    return ()


@attrs.frozen(kw_only=True)
class Backstage(Generic[Mode]):
    """The cloud, the store, the clock and the runner, in the way of one client."""

    settings: Settings
    cloud: Cloud[Mode]
    recent: Recent
    store: Store
    waiter: Waiter[Mode]
    runner: RunnerHost

    async def read(self, instance_id: str) -> Record | None:
        """Return the record of an instance."""
        return await self.waiter.result(self.store.read(KIND, instance_id))

    async def managed(self, instance_id: str) -> Managed | None:
        """Return what is kept of an instance, or None."""
        record = await self.read(instance_id)
        return None if record is None else read_record(record)

    async def everything(self) -> tuple[tuple[Managed, ...], frozenset[str]]:
        """Return all managed instances, and the machines of those whose record cannot be read.

        One such record, of a later version perhaps, must not hide all the others.
        """
        managed: list[Managed] = []
        unreadable: set[str] = set()
        for record in await self.waiter.result(self.store.scan(KIND)):
            try:
                managed.append(read_record(record))
            except JobError as error:
                machine = machine_in(record)
                _log.warning("%s", error)
                unreadable.update((machine,) if machine else ())
        return tuple(managed), frozenset(unreadable)

    async def own_id(self, instance_id: str) -> str:
        """Return the id this library gave, also for the cloud's own id of a machine on record; others as they are."""
        if instance_id.startswith(OWN_ID):
            return instance_id
        managed, _ = await self.everything()
        own = (one.id for one in managed if one.state.novita_instance_id == instance_id)
        return next(own, instance_id)

    async def commit(self, change: Change) -> None:
        """Write *change* as one transaction."""
        await self.waiter.result(self.store.commit(change))

    async def change(
        self,
        instance_id: str,
        change: Callable[[Managed], Managed],
        also: Callable[[Managed], tuple[NewJob, ...]] = _nothing,
    ) -> Managed | None:
        """Change a record and add the webhook that tells of it, in one transaction; None when there is no record.

        *also* makes further jobs of what the record is then.
        """

        def follow_up(before: Managed, after: Managed) -> tuple[NewJob, ...]:
            return (*self.follow_up(before, after), *also(after))

        return await rewrite(lambda: self.read(instance_id), self.commit, change, follow_up)

    def follow_up(self, before: Managed, after: Managed) -> tuple[NewJob, ...]:
        """The jobs that follow from a change."""
        jobs = webhook_jobs(before, after, now=self.waiter.time())
        if jobs:
            self.runner.ensure_started()
        return jobs

    async def template(self, template_id: str) -> Template:
        """Return a template. Raises NotFound, which names it: the cloud does not."""

        async def read() -> Template:
            try:
                return await CloudTemplates.get(self.cloud.templates, template_id)
            except NotFound as error:
                error.message += f": {template_id!r}; catalog.templates() shows what there is"
                raise

        return await self.recent.ask(
            ("template", template_id), read, lasts=TEMPLATES_LAST, session=self.cloud._session
        )

    def _instances(self, within: float | None, *, urgent: bool) -> CloudInstances[Mode]:
        """The cloud's instances, each call on which takes at most *within* seconds."""
        session = self.cloud._session
        limits = attrs.evolve(session.patience, urgent=urgent or session.patience.urgent)
        if within is not None:
            limits = attrs.evolve(limits, timeout=min(limits.timeout, max(within, _A_CALL)))
        return CloudInstances(session.patient(limits))

    async def sight(
        self, machine: str, *, urgent: bool = False, within: float | None = None
    ) -> Instance | None:
        """Look at a machine, if *urgent* before whatever waits; None when the cloud does not know it.

        *within* is how many seconds a call may take. Raises CallError, also when it cannot be told whether the cloud
        knows it.
        """
        instances = self._instances(within, urgent=urgent)
        looks = 0
        while True:
            try:
                return await CloudInstances.get(instances, machine)
            except NotFound as error:
                if error.reason == _NO_SUCH_ROUTE:
                    raise
                looks += 1
                if not _is_doubtful(error):
                    return None
                if looks == _LOOKS:
                    await self._check_unlisted(machine, within)
                    return None
            await self.waiter.sleep(min(_BETWEEN_LOOKS, self.settings.poll_interval))

    async def _check_unlisted(self, machine: str, within: float | None) -> None:
        """Raise UnexpectedReply if a machine is listed whose record is empty: it may well run."""
        walk = self._instances(within, urgent=False)._pages(None, None, None, PAGE_SIZE)
        while (page := await walk.more()) is not None:
            if any(one.id == machine for one in page):
                raise UnexpectedReply(
                    f"the record of {machine} is empty, and the listing has it",
                    status=200,
                    operation="instances.get",
                    resend_safe=True,
                )

    def listing(self, name: str | None = None) -> Walk[Instance]:
        """Return a way through the pages of all machines of this account, or of those with *name* in their name."""
        return self.cloud.instances._pages(name, None, None, PAGE_SIZE)

    async def machine_of(
        self,
        instance_id: str,
        *,
        name: str | None = None,
        since: datetime | None = None,
        within: float | None = None,
    ) -> str | None:
        """Return the cloud's id of the machine that carries *instance_id*, or None when a complete listing has none.

        *name* is that of the machine looked for, and *since* when it was created at the earliest. Raises CallError,
        with both also when a machine that may be the one does not show whose it is.
        """
        walk = self._instances(within, urgent=False)._pages(name, None, None, PAGE_SIZE)
        doubtful: list[str] = []
        while (page := await walk.more()) is not None:
            for listed in page:
                may_be_it = since is not None and _may_be(listed, name, since)
                owner = await self._owner(listed, closely=may_be_it)
                if owner == instance_id:
                    return listed.id
                if owner is None and may_be_it:
                    doubtful.append(listed.id)
        await self._check_owned(doubtful)
        return None

    async def _owner(self, listed: Instance, *, closely: bool) -> str | None:
        """Return the id of ours that a machine carries, or None when it shows none that can be read."""
        owner = _owner_of(listed)
        if owner is None and (closely or not listed.envs):
            owner = _owner_of(await self._full(listed))
        return owner

    async def _check_owned(self, machines: Collection[str]) -> None:
        """Raise UnexpectedReply unless each of *machines*, which do not say whose they are, is that of a record."""
        if not machines:
            return
        managed, unreadable = await self.everything()
        known = {*unreadable, *(one.state.novita_instance_id for one in managed)}
        unknown = [one for one in machines if one not in known]
        if unknown:
            raise UnexpectedReply(
                f"it cannot be told whose {', '.join(unknown)} is: its record shows no {INSTANCE_ID}",
                status=200,
                operation="instances.list",
                resend_safe=True,
            )

    async def _full(self, listed: Instance) -> Instance:
        """A listing may leave the environment out; only the full record can say whose a machine is."""
        try:
            return await CloudInstances.get(self.cloud.instances, listed.id)
        except NotFound as error:
            if _is_doubtful(error):
                raise
            return listed

    async def ask_to_remove(self, machine: str, *, within: float | None = None) -> bool:
        """Ask the cloud to remove a machine; answer whether the cloud knows it. One that is going is no error.

        *within* is how many seconds a call may take. Raises CallError.
        """
        try:
            await CloudInstances.delete(self._instances(within, urgent=False), machine)
        except NotFound as error:
            if error.reason == _NO_SUCH_ROUTE:
                raise
            return False
        except InvalidState:
            # Also the answer when it is on its way out already, because somebody else asked.
            if not is_gone(await self.sight(machine, within=within)):
                raise
        return True

    async def ask_to_stop(self, machine: str, *, within: float | None = None) -> None:
        """Ask the cloud to stop a machine. Raises CallError."""
        await CloudInstances.stop(self._instances(within, urgent=False), machine)

    def check_runner(self) -> None:
        """Raise JobError when nobody will ever do the work that is waited for."""
        error = self.runner.error
        if error is not None:
            raise JobError(
                f"the job runner of this client stopped: {error!r}; unfinished jobs wait in the store for the "
                "next client"
            ) from error


def _owner_of(machine: Instance) -> str | None:
    own = machine.env(INSTANCE_ID)
    value = own.reveal() if own is not None else ""
    return value if _OURS.fullmatch(value) else None


def _may_be(listed: Instance, name: str | None, since: datetime) -> bool:
    """Whether a machine may have come of a create of *name* that was sent at *since*."""
    created = listed.created_at
    return listed.name == name and (created is None or created > since - _CLOCKS_DIFFER)


def _is_doubtful(error: NotFound) -> bool:
    """Whether it was no refusal that said so, but a success with nothing in it: a fault looks like that, too."""
    return error.status < 400
