"""Instances as the cloud has them."""

from collections.abc import Iterable

import attrs

from ..._calling import Mode, dual, dual_iter
from ...errors import CallError, InvalidState
from .. import _routes as routes
from .._change_models import (
    AutoMigrate,
    AutoRenew,
    EditInstance,
    Migrated,
    Months,
    UpgradeInstance,
)
from .._instance_models import (
    Created,
    CreateInstance,
    Instance,
    InstanceList,
    InstanceQuery,
    InstanceRef,
    Port,
)
from .._limits import (
    check_auto_migrate,
    check_auto_renew,
    check_create,
    check_edit,
    check_id,
    check_instance_query,
    check_months,
    check_upgrade,
)
from .._paging import PAGE_SIZE, Walk
from .._route import Route
from .._words import CloudStatus, Phase
from ._base import Noun, may_be_done, several

__all__ = ["CloudInstances"]


@attrs.frozen
class CloudInstances(Noun[Mode]):
    """Instances as the cloud has them, with no record, no job and no waiting of ours.

    Every method raises CallError and its kinds; see :mod:`novitai_sdk.errors`.
    """

    @dual
    async def create(self, body: CreateInstance) -> Created:
        """Rent a machine and return its id; it bills from the moment its image is pulled.

        Never sent twice: after a TransportFailed or ServerFailed the machine may exist, and only the listing can
        tell. Raises ValidationError before anything is sent if *body* breaks a documented limit, NoCapacity if
        nothing is free, InsufficientBalance.
        """
        check_create(body)
        return await self._session.call(routes.CREATE_INSTANCE, body)

    @dual
    async def get(self, instance_id: str) -> Instance:
        """Return one instance with everything known of it.

        Raises NotFound when there is none of that id. The cloud says so with 404, 400, or 200 and an empty object; the
        last (``error.status`` is 200) is the weakest, so ask again before you believe that a machine is gone.
        """
        check_id("instanceId", instance_id)
        return await self._session.call(routes.GET_INSTANCE, InstanceRef(instance_id=instance_id))

    @dual
    async def list(
        self,
        *,
        name: str | None = None,
        product_name: str | None = None,
        status: CloudStatus | None = None,
        page_size: int = PAGE_SIZE,
    ) -> tuple[Instance, ...]:
        """Return all instances that match, from all pages, each once.

        *name* and *product_name* match parts. Connection details and port endpoints are left out by the cloud; read
        them with :meth:`get`. Raises UnexpectedReply if the pages end before all were seen.
        """
        return await self._pages(name, product_name, status, page_size).everything(self._left())

    @dual_iter
    def iterate(
        self,
        *,
        name: str | None = None,
        product_name: str | None = None,
        status: CloudStatus | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Walk[Instance]:
        """Yield what :meth:`list` returns one by one, fetching pages of *page_size* as they are needed.

        Raises as :meth:`list` does; whoever goes on after an error asks for the same page again.
        """
        return self._pages(name, product_name, status, page_size)

    def _pages(
        self,
        name: str | None,
        product_name: str | None,
        status: CloudStatus | None,
        page_size: int,
    ) -> Walk[Instance]:
        query = InstanceQuery(
            page_size=page_size, name=name, product_name=product_name, status=status
        )
        check_instance_query(query)
        return Walk(
            lambda number, timeout: self._session.call(
                routes.LIST_INSTANCES, attrs.evolve(query, page_num=number), timeout=timeout
            ),
            first=0,
            operation=routes.LIST_INSTANCES.name,
            page_size=page_size or PAGE_SIZE,
        )

    @dual
    async def list_page(self, query: InstanceQuery) -> InstanceList:
        """Return one page as the cloud gives it; page 0 and page 1 may be the same."""
        check_instance_query(query)
        return await self._session.call(routes.LIST_INSTANCES, query)

    @dual
    async def start(self, instance_id: str) -> None:
        """Start a stopped instance. Raises InvalidState unless it is stopped, NoCapacity if nothing is free."""
        check_id("instanceId", instance_id)
        await self._bring(routes.START_INSTANCE, instance_id, (Phase.UP, Phase.PROVISIONING))

    @dual
    async def stop(self, instance_id: str) -> None:
        """Stop a running instance; its storage goes on costing. Raises InvalidState unless it runs."""
        check_id("instanceId", instance_id)
        await self._bring(routes.STOP_INSTANCE, instance_id, (Phase.STOPPED, Phase.STOPPING))

    @dual
    async def delete(self, instance_id: str) -> None:
        """Remove an instance for good; the record lingers for a while.

        Raises NotFound when it is gone already, InvalidState for a monthly one that has not expired.
        """
        check_id("instanceId", instance_id)
        await self._bring(routes.DELETE_INSTANCE, instance_id, (Phase.GONE,))

    async def _bring(
        self, route: Route[InstanceRef, None], instance_id: str, wanted: tuple[Phase, ...]
    ) -> None:
        """Call *route*. A refusal is no error if an earlier try brought the instance where it is *wanted*."""
        body = InstanceRef(instance_id=instance_id)
        try:
            if Phase.GONE in wanted:
                await self._remove(route, body)
            else:
                await self._session.call(route, body)
        except InvalidState as error:
            if not may_be_done(error):
                raise
            left = self._session.patience.timeout - error.elapsed
            try:
                sight = await self._session.call(routes.GET_INSTANCE, body, timeout=left)
            except CallError:
                raise error from None
            if sight.status is None or sight.status.phase not in wanted:
                raise

    @dual
    async def restart(self, instance_id: str) -> None:
        """Restart a running instance; what its container held in memory is lost.

        Never sent twice, since the second would end what came up after the first. Raises InvalidState unless it runs.
        """
        check_id("instanceId", instance_id)
        await self._session.call(routes.RESTART_INSTANCE, InstanceRef(instance_id=instance_id))

    @dual
    async def edit(
        self,
        instance_id: str,
        *,
        ports: Iterable[Port] | None = None,
        expand_root_disk: int | None = None,
    ) -> None:
        """Give an instance other ports, a larger root disk, or both. It goes on running.

        *ports* are all it is to have, at most 15 together with its tools; None leaves them as they are.
        *expand_root_disk* is how many GB are added, so this is never sent twice. Raises ValidationError before anything
        is sent.
        """
        body = EditInstance(
            instance_id=instance_id,
            ports=tuple(ports) if isinstance(ports, Iterable) else ports,
            expand_root_disk=expand_root_disk,
        )
        check_edit(body)
        await self._session.call(routes.EDIT_INSTANCE, body)

    @dual
    async def upgrade(self, body: UpgradeInstance) -> None:
        """Replace image, command, environment and network storages; the hardware stays.

        All of these are replaced: start from :meth:`UpgradeInstance.like`. An instance that is managed by
        ``client.instances`` is found by its environment variable ``NOVITAI_INSTANCE_ID``, which must stay. Raises
        ValidationError before anything is sent, InvalidState unless it runs or is stopped.
        """
        check_upgrade(body)
        await self._session.call(routes.UPGRADE_INSTANCE, body)

    @dual
    async def migrate(self, instance_id: str) -> Migrated:
        """Move a stopped instance to another node. What is on its root and local disks is lost.

        Network storages stay. ``cloud.jobs`` has a job that tells how far it is. Raises InvalidState unless it is
        stopped, NoCapacity if there is nowhere to move to.
        """
        check_id("instanceId", instance_id)
        return await self._session.call(
            routes.MIGRATE_INSTANCE, InstanceRef(instance_id=instance_id)
        )

    @dual
    async def renew(self, instance_id: str, month: int) -> None:
        """Pay *month* more months of a monthly instance now. Never sent twice: each time is paid for.

        Raises InsufficientBalance, InvalidState while it is being created, RequestRefused if it is not monthly.
        """
        body = Months(instance_id=instance_id, month=month)
        check_months(body)
        await self._session.call(routes.RENEW_INSTANCE, body)

    @dual
    async def to_monthly(self, instance_id: str, month: int) -> None:
        """Turn an instance paid by the hour into a monthly one and pay *month* months now. Never sent twice.

        A monthly instance cannot be deleted before it expires. Raises InsufficientBalance, and RequestRefused for an
        instance or a product that cannot be monthly.
        """
        body = Months(instance_id=instance_id, month=month)
        check_months(body)
        await self._session.call(routes.CONVERT_TO_MONTHLY, body)

    @dual
    async def set_auto_renew(
        self, instance_ids: str | Iterable[str], *, auto_renew: bool, auto_renew_month: int = 1
    ) -> None:
        """Say whether monthly instances are renewed when they expire, and for how many months (1 to 12) each time."""
        body = AutoRenew(
            instance_ids=several(instance_ids),
            auto_renew=auto_renew,
            auto_renew_month=auto_renew_month,
        )
        check_auto_renew(body)
        await self._session.call(routes.SET_AUTO_RENEW, body)

    @dual
    async def set_auto_migrate(
        self, instance_id: str, *, auto_migrate_open: bool, auto_migrate_system_disk: bool
    ) -> None:
        """Say whether an instance is moved when its node fails, and whether its root disk goes with it."""
        body = AutoMigrate(
            instance_id=instance_id,
            auto_migrate_open=auto_migrate_open,
            auto_migrate_system_disk=auto_migrate_system_disk,
        )
        check_auto_migrate(body)
        await self._session.call(routes.SET_AUTO_MIGRATE, body)
