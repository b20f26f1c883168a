"""The limits of what is asked of templates."""

from .._template_models import TemplateQuery
from ._problems import Problems

__all__ = ["check_template_query"]


def check_template_query(query: TemplateQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems()
    found.number("pageSize", query.page_size, 1)
    found.number("pageNum", query.page_num, 1)
    found.done("the listing")
