"""Images and how to run them."""

import attrs

from ..._calling import Mode, dual
from .. import _routes as routes
from .._limits import check_id, check_template_query
from .._paging import PAGE_SIZE, all_pages
from .._template_models import Template, TemplateList, TemplateQuery, TemplateRef
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
    ) -> tuple[Template, ...]:
        """Return all templates that match, from all pages, each once.

        *channel* is ``official``, ``community``, ``private`` or several separated by commas. A template made a
        moment ago may be missing though :meth:`get` finds it. Raises UnexpectedReply if the pages end early.
        """

        async def fetch(number: int) -> TemplateList:
            query = TemplateQuery(
                page_size=PAGE_SIZE,
                page_num=number,
                name=name,
                channel=channel,
                is_my_community=is_my_community,
            )
            return await self._session.call(routes.LIST_TEMPLATES, query)

        return await all_pages(fetch, first=1, operation=routes.LIST_TEMPLATES.name)

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
