"""Images and how to run them."""

import attrs

from ..._calling import Mode, dual, dual_iter
from .. import _routes as routes
from .._limits import check_id, check_template, check_template_query
from .._paging import PAGE_SIZE, Walk
from .._template_models import (
    NewTemplate,
    Template,
    TemplateList,
    TemplateQuery,
    TemplateRef,
    TemplateToKeep,
)
from ._base import Noun

__all__ = ["CloudTemplates"]


@attrs.frozen
class CloudTemplates(Noun[Mode]):
    """Images and how to run them."""

    @dual
    async def list(
        self,
        *,
        name: str | None = None,
        channel: str | None = None,
        is_my_community: bool | None = None,
        page_size: int = PAGE_SIZE,
    ) -> tuple[Template, ...]:
        """Return all templates that match, from all pages, each once.

        *channel* is ``official``, ``community``, ``private`` or several separated by commas. A template made a
        moment ago may be missing though :meth:`get` finds it. Raises UnexpectedReply if the pages end early.
        """
        return await self._pages(name, channel, is_my_community, page_size).everything(self._left())

    @dual_iter
    def iterate(
        self,
        *,
        name: str | None = None,
        channel: str | None = None,
        is_my_community: bool | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Walk[Template]:
        """Yield what :meth:`list` returns one by one, fetching pages of *page_size* as they are needed.

        Raises as :meth:`list` does; whoever goes on after an error asks for the same page again.
        """
        return self._pages(name, channel, is_my_community, page_size)

    def _pages(
        self, name: str | None, channel: str | None, is_my_community: bool | None, page_size: int
    ) -> Walk[Template]:
        query = TemplateQuery(
            page_size=page_size, name=name, channel=channel, is_my_community=is_my_community
        )
        check_template_query(query)
        return Walk(
            lambda number, timeout: self._session.call(
                routes.LIST_TEMPLATES, attrs.evolve(query, page_num=number), timeout=timeout
            ),
            first=1,
            operation=routes.LIST_TEMPLATES.name,
            page_size=page_size or PAGE_SIZE,
        )

    @dual
    async def list_page(self, query: TemplateQuery) -> TemplateList:
        """Return one page as the cloud gives it; the first is page 1."""
        check_template_query(query)
        return await self._session.call(routes.LIST_TEMPLATES, query)

    @dual
    async def get(self, template_id: str) -> Template:
        """Return one template. Raises NotFound when there is none of that id."""
        check_id("templateId", template_id)
        return (
            await self._session.call(routes.GET_TEMPLATE, TemplateRef(template_id=template_id))
        ).template

    @dual
    async def create(self, body: NewTemplate) -> str:
        """Keep a template and return its id; the listing may miss it for a while.

        Never sent twice. Raises ValidationError before anything is sent.
        """
        check_template(body)
        body = attrs.evolve(body, id=None)
        answer = await self._session.call(routes.CREATE_TEMPLATE, TemplateToKeep(template=body))
        return answer.template_id

    @dual
    async def update(self, template_id: str, body: NewTemplate) -> None:
        """Replace all of a template; ``NewTemplate.like`` starts from what it is. Raises NotFound."""
        check_id("template.Id", template_id)
        check_template(body)
        body = attrs.evolve(body, id=template_id)
        await self._session.call(routes.UPDATE_TEMPLATE, TemplateToKeep(template=body))

    @dual
    async def delete(self, template_id: str) -> None:
        """Remove a template of one's own. Raises NotFound."""
        check_id("templateId", template_id)
        await self._remove(routes.DELETE_TEMPLATE, TemplateRef(template_id=template_id))
