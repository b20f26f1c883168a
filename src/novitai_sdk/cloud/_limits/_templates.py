"""The limits of what is asked of templates."""

from typing import Final

from .._template_models import NewTemplate, TemplateQuery
from ._problems import Problems, check_envs, check_port

__all__ = ["check_template", "check_template_query"]

_MOST_PORTS: Final = 10


def check_template(body: NewTemplate) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems()
    found.text("template.name", body.name, 255, least=1)
    found.text("template.image", body.image, 500, least=1)
    found.number("template.rootfsSize", body.rootfs_size, 1)
    found.text("template.readme", body.readme, 102_400)
    found.text("template.startCommand", body.start_command, 2047)
    found.text("template.entrypoint", body.entrypoint, 2047)
    ports = [port for group in body.ports for port in group.ports]
    found.count("template.ports", ports, _MOST_PORTS)
    for port in ports:
        check_port(found, "template.ports", port)
    check_envs(found, body.envs)
    found.done("the template")


def check_template_query(query: TemplateQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems()
    found.number("pageSize", query.page_size, 1)
    found.number("pageNum", query.page_num, 1)
    found.done("the listing")
