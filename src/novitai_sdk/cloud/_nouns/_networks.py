"""Private networks, and storages that outlive instances."""

from collections.abc import Iterable

import attrs

from ..._calling import Mode, dual, dual_iter
from .. import _routes as routes
from .._limits import (
    check_create_network,
    check_create_storage,
    check_id,
    check_network_query,
    check_storage_query,
    check_update_network,
    check_update_storage,
)
from .._network_models import (
    CreateNetwork,
    CreateNetworkStorage,
    Network,
    NetworkList,
    NetworkQuery,
    NetworkRef,
    NetworkStorage,
    NetworkStorageList,
    NetworkStorageQuery,
    NetworkStorageRef,
    UpdateNetwork,
    UpdateNetworkStorage,
)
from .._paging import PAGE_SIZE, Walk
from ._base import Noun, several

__all__ = ["CloudNetworkStorages", "CloudNetworks"]


@attrs.frozen
class CloudNetworks(Noun[Mode]):
    """Private networks (VPC) of instances in one cluster."""

    @dual
    async def list(
        self,
        *,
        name: str | None = None,
        creators: str | Iterable[str] | None = None,
        page_size: int = PAGE_SIZE,
    ) -> tuple[Network, ...]:
        """Return all networks with *name* in their name, from all pages, each once; *creators* are users.

        Raises UnexpectedReply if the pages end before all were seen.
        """
        return await self._pages(_query(name, creators, page_size)).everything(self._left())

    @dual_iter
    def iterate(
        self,
        *,
        name: str | None = None,
        creators: str | Iterable[str] | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Walk[Network]:
        """Yield what :meth:`list` returns one by one, fetching pages of *page_size* as they are needed.

        Raises as :meth:`list` does; whoever goes on after an error asks for the same page again.
        """
        return self._pages(_query(name, creators, page_size))

    def _pages(self, query: NetworkQuery) -> Walk[Network]:
        check_network_query(query)
        return Walk(
            lambda number, timeout: self._session.call(
                routes.LIST_NETWORKS, attrs.evolve(query, page_num=number), timeout=timeout
            ),
            first=0,
            operation=routes.LIST_NETWORKS.name,
            page_size=query.page_size or PAGE_SIZE,
        )

    @dual
    async def list_page(self, query: NetworkQuery) -> NetworkList:
        """Return one page as the cloud gives it; page 0 and page 1 may be the same."""
        check_network_query(query)
        return await self._session.call(routes.LIST_NETWORKS, query)

    @dual
    async def get(self, network_id: str) -> Network:
        """Return one network with the addresses of the instances in it. Raises NotFound when there is none."""
        check_id("networkId", network_id)
        return (
            await self._session.call(routes.GET_NETWORK, NetworkRef(network_id=network_id))
        ).network

    @dual
    async def create(self, cluster_id: str, *, name: str | None = None) -> Network | None:
        """Make a network; instances can be put into it once it is ``ready``.

        Returns None if the cloud does not say which one it made: then find it by its name in :meth:`list`. Never sent
        twice. Raises ValidationError before anything is sent.
        """
        body = CreateNetwork(cluster_id=cluster_id, name=name)
        check_create_network(body)
        return (await self._session.call(routes.CREATE_NETWORK, body)).network

    @dual
    async def update(self, network_id: str, *, name: str) -> None:
        """Give a network another name of 1 to 30 characters."""
        body = UpdateNetwork(network_id=network_id, name=name)
        check_update_network(body)
        await self._session.call(routes.UPDATE_NETWORK, body)

    @dual
    async def delete(self, network_id: str) -> None:
        """Remove a network. Refused while instances are in it."""
        check_id("networkId", network_id)
        await self._remove(routes.DELETE_NETWORK, NetworkRef(network_id=network_id))


def _query(name: str | None, creators: str | Iterable[str] | None, page_size: int) -> NetworkQuery:
    return NetworkQuery(
        page_size=page_size,
        name=name,
        creators=None if creators is None else several(creators),
    )


@attrs.frozen
class CloudNetworkStorages(Noun[Mode]):
    """Disks that instances of a cluster can mount and that stay when they go."""

    @dual
    async def list(
        self,
        *,
        storage_name: str | None = None,
        storage_id: str | None = None,
        page_size: int = PAGE_SIZE,
    ) -> tuple[NetworkStorage, ...]:
        """Return all storages that match, from all pages, each once; *storage_name* matches parts.

        Raises UnexpectedReply if the pages end before all were seen.
        """
        query = NetworkStorageQuery(
            page_size=page_size, storage_name=storage_name, storage_id=storage_id
        )
        return await self._pages(query).everything(self._left())

    @dual_iter
    def iterate(
        self,
        *,
        storage_name: str | None = None,
        storage_id: str | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Walk[NetworkStorage]:
        """Yield what :meth:`list` returns one by one, fetching pages of *page_size* as they are needed.

        Raises as :meth:`list` does; whoever goes on after an error asks for the same page again.
        """
        query = NetworkStorageQuery(
            page_size=page_size, storage_name=storage_name, storage_id=storage_id
        )
        return self._pages(query)

    def _pages(self, query: NetworkStorageQuery) -> Walk[NetworkStorage]:
        check_storage_query(query)
        return Walk(
            lambda number, timeout: self._session.call(
                routes.LIST_STORAGES, attrs.evolve(query, page_no=number), timeout=timeout
            ),
            first=1,
            operation=routes.LIST_STORAGES.name,
            page_size=query.page_size or PAGE_SIZE,
        )

    @dual
    async def list_page(self, query: NetworkStorageQuery) -> NetworkStorageList:
        """Return one page as the cloud gives it; the first is page 1."""
        check_storage_query(query)
        return await self._session.call(routes.LIST_STORAGES, query)

    @dual
    async def create(self, cluster_id: str, *, storage_name: str, storage_size: int) -> str:
        """Make a storage of *storage_size* GB (10 or more) and return its id; it bills until it is deleted.

        Never sent twice: after a TransportFailed or ServerFailed it may exist, and only the listing can tell.
        Raises ValidationError before anything is sent.
        """
        body = CreateNetworkStorage(
            cluster_id=cluster_id, storage_name=storage_name, storage_size=storage_size
        )
        check_create_storage(body)
        return (await self._session.call(routes.CREATE_STORAGE, body)).storage_id

    @dual
    async def update(self, storage_id: str, *, storage_name: str, storage_size: int) -> None:
        """Give a storage this name and this size in GB, which is never less than it has."""
        body = UpdateNetworkStorage(
            storage_id=storage_id, storage_name=storage_name, storage_size=storage_size
        )
        check_update_storage(body)
        await self._session.call(routes.UPDATE_STORAGE, body)

    @dual
    async def delete(self, storage_id: str) -> None:
        """Remove a storage and all that is on it. Refused while an instance has it mounted."""
        check_id("storageId", storage_id)
        await self._remove(routes.DELETE_STORAGE, NetworkStorageRef(storage_id=storage_id))
