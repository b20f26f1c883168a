"""Images on nodes before an instance asks for them."""

from collections.abc import Iterable

import attrs

from ..._calling import Mode, dual, dual_iter
from .. import _routes as routes
from .._limits import (
    check_create_prewarm,
    check_edit_prewarm,
    check_prewarm_query,
    check_prewarm_refs,
)
from .._paging import PAGE_SIZE, Walk
from .._prewarm_models import (
    CreatePrewarm,
    EditPrewarm,
    PrewarmList,
    PrewarmQuery,
    PrewarmQuota,
    PrewarmRefs,
    PrewarmTask,
)
from .._words import PrewarmState
from ._base import Noun, several

__all__ = ["CloudImagePrewarm"]


@attrs.frozen
class CloudImagePrewarm(Noun[Mode]):
    """Tasks that bring an image to the nodes of a cluster, so that instances there start without a pull."""

    @dual
    async def quota(self) -> PrewarmQuota:
        """Return how many tasks there are and may be, and how large an image may be in GB."""
        return await self._session.call(routes.GET_PREWARM_QUOTA)

    @dual
    async def list(
        self,
        *,
        state: PrewarmState | None = None,
        cluster_id: str | None = None,
        name: str | None = None,
        page_size: int = PAGE_SIZE,
    ) -> tuple[PrewarmTask, ...]:
        """Return all tasks that match, from all pages, each once; *name* is part of an image's name or of a note.

        Raises UnexpectedReply if the pages end before all were seen.
        """
        query = PrewarmQuery(page_size=page_size, state=state, cluster_id=cluster_id, name=name)
        return await self._pages(query).everything(self._left())

    @dual_iter
    def iterate(
        self,
        *,
        state: PrewarmState | None = None,
        cluster_id: str | None = None,
        name: str | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Walk[PrewarmTask]:
        """Yield what :meth:`list` returns one by one, fetching pages of *page_size* as they are needed.

        Raises as :meth:`list` does; whoever goes on after an error asks for the same page again.
        """
        query = PrewarmQuery(page_size=page_size, state=state, cluster_id=cluster_id, name=name)
        return self._pages(query)

    def _pages(self, query: PrewarmQuery) -> Walk[PrewarmTask]:
        check_prewarm_query(query)
        return Walk(
            lambda number, timeout: self._session.call(
                routes.LIST_PREWARM, attrs.evolve(query, page=number), timeout=timeout
            ),
            first=1,
            operation=routes.LIST_PREWARM.name,
            page_size=query.page_size or PAGE_SIZE,
        )

    @dual
    async def list_page(self, query: PrewarmQuery) -> PrewarmList:
        """Return one page as the cloud gives it; the first is page 1."""
        check_prewarm_query(query)
        return await self._session.call(routes.LIST_PREWARM, query)

    @dual
    async def create(self, body: CreatePrewarm) -> str:
        """Begin to bring an image to nodes and return the id of the task.

        Never sent twice: a ServerFailed does not say that there is no task. Raises ValidationError before anything is
        sent, PermissionDenied when there are as many as there may be.
        """
        check_create_prewarm(body)
        return (await self._session.call(routes.CREATE_PREWARM, body)).id

    @dual
    async def edit(self, task_id: str, *, note: str) -> None:
        """Give a task another note."""
        body = EditPrewarm(id=task_id, note=note)
        check_edit_prewarm(body)
        await self._session.call(routes.EDIT_PREWARM, body)

    @dual
    async def delete(self, task_ids: str | Iterable[str]) -> None:
        """Remove tasks, at least one."""
        body = PrewarmRefs(ids=several(task_ids))
        check_prewarm_refs(body)
        await self._remove(routes.DELETE_PREWARM, body)
