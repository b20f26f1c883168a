"""Instances as the cloud has them."""

import attrs

from ..._calling import Mode, dual, dual_iter
from ...errors import NotFound, UnexpectedReply
from .. import _routes as routes
from .._instance_models import (
    Created,
    CreateInstance,
    Instance,
    InstanceList,
    InstanceQuery,
    InstanceRef,
)
from .._limits import check_create, check_id, check_instance_query
from .._paging import PAGE_SIZE, Walk
from .._words import CloudStatus
from ._base import Noun

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
        """Return one instance with everything known of it. Raises NotFound when there is none of that id."""
        check_id("instanceId", instance_id)
        try:
            return await self._session.call(
                routes.GET_INSTANCE, InstanceRef(instance_id=instance_id)
            )
        except UnexpectedReply as error:
            # The third way to say so, beside 404 and 400: a 200 with an empty object.
            if error.problems != _NOTHING:
                raise
            raise NotFound(
                f"no instance {instance_id}: the cloud answered with an empty object",
                status=error.status,
                operation=error.operation,
                attempts=error.attempts,
                history=error.history,
                elapsed=error.elapsed,
                resend_safe=True,
            ) from error

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
        return await self._pages(name, product_name, status, page_size).everything()

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
            lambda number: self._session.call(
                routes.LIST_INSTANCES, attrs.evolve(query, page_num=number)
            ),
            first=0,
            operation=routes.LIST_INSTANCES.name,
            page_size=page_size,
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
        await self._session.call(routes.START_INSTANCE, InstanceRef(instance_id=instance_id))

    @dual
    async def stop(self, instance_id: str) -> None:
        """Stop a running instance; its storage goes on costing. Raises InvalidState unless it runs."""
        check_id("instanceId", instance_id)
        await self._session.call(routes.STOP_INSTANCE, InstanceRef(instance_id=instance_id))

    @dual
    async def delete(self, instance_id: str) -> None:
        """Remove an instance for good; the record lingers for a while.

        Raises NotFound when it is gone already, InvalidState for a monthly one that has not expired.
        """
        check_id("instanceId", instance_id)
        await self._session.call(routes.DELETE_INSTANCE, InstanceRef(instance_id=instance_id))


# What the converter says of an empty object where an instance was promised.
_NOTHING = ("required field missing @ $.id",)
