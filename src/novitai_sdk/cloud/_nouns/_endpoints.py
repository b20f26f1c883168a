"""Serverless endpoints."""

import attrs

from ..._calling import Mode, dual, dual_iter
from .. import _routes as routes
from .._endpoint_models import (
    CreateEndpoint,
    Endpoint,
    EndpointLimits,
    EndpointList,
    EndpointName,
    EndpointQuery,
    EndpointRef,
    EndpointToCreate,
    UpdateEndpoint,
)
from .._limits import (
    check_create_endpoint,
    check_endpoint_query,
    check_id,
    check_update_endpoint,
)
from .._paging import PAGE_SIZE, Walk
from ._base import Noun

__all__ = ["CloudEndpoints"]


@attrs.frozen
class CloudEndpoints(Noun[Mode]):
    """An image that is run by as many workers as there are requests for; workers bill while they are there."""

    @dual
    async def limits(self) -> EndpointLimits:
        """Return what the parts of an endpoint may be."""
        return await self._session.call(routes.GET_ENDPOINT_LIMITS)

    @dual
    async def list(self, *, page_size: int = PAGE_SIZE) -> tuple[Endpoint, ...]:
        """Return all endpoints, from all pages, each once. Raises UnexpectedReply if the pages end early."""
        return await self._pages(page_size).everything(self._left())

    @dual_iter
    def iterate(self, *, page_size: int = PAGE_SIZE) -> Walk[Endpoint]:
        """Yield what :meth:`list` returns one by one, fetching pages of *page_size* as they are needed.

        Raises as :meth:`list` does; whoever goes on after an error asks for the same page again.
        """
        return self._pages(page_size)

    def _pages(self, page_size: int) -> Walk[Endpoint]:
        query = EndpointQuery(page_size=page_size)
        check_endpoint_query(query)
        return Walk(
            lambda number, timeout: self._session.call(
                routes.LIST_ENDPOINTS, attrs.evolve(query, page_num=number), timeout=timeout
            ),
            first=0,
            operation=routes.LIST_ENDPOINTS.name,
            page_size=page_size or PAGE_SIZE,
        )

    @dual
    async def list_page(self, query: EndpointQuery) -> EndpointList:
        """Return one page as the cloud gives it; the first is page 0."""
        check_endpoint_query(query)
        return await self._session.call(routes.LIST_ENDPOINTS, query)

    @dual
    async def get(self, endpoint_id: str) -> Endpoint:
        """Return one endpoint. Raises NotFound when there is none of that id."""
        check_id("id", endpoint_id)
        return await self._session.call(routes.GET_ENDPOINT, EndpointRef(id=endpoint_id))

    @dual
    async def create(self, body: CreateEndpoint) -> str:
        """Make an endpoint and return its id; its workers bill from then on.

        Never sent twice: after a TransportFailed or ServerFailed it may exist, and only the listing can tell. Raises
        ValidationError before anything is sent.
        """
        check_create_endpoint(body)
        answer = await self._session.call(routes.CREATE_ENDPOINT, EndpointToCreate(endpoint=body))
        return answer.id

    @dual
    async def update(self, body: UpdateEndpoint) -> None:
        """Replace all of an endpoint. Raises NotFound."""
        check_update_endpoint(body)
        await self._session.call(routes.UPDATE_ENDPOINT, body)

    @dual
    async def delete(self, endpoint_id: str) -> None:
        """Remove an endpoint and its workers. Raises NotFound when there is none of that id."""
        check_id("id", endpoint_id)
        await self._remove(routes.DELETE_ENDPOINT, EndpointName(name=endpoint_id))
