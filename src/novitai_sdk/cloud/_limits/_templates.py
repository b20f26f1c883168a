"""The limits of what is asked of templates."""

from typing import Final

from .._template_models import NewTemplate, TemplatePorts, TemplateQuery
from ._problems import Problems, check_envs, check_port

__all__ = ["check_template", "check_template_query"]

_MOST_IN_A_GROUP: Final = 10


def check_template(body: NewTemplate) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the template", body, NewTemplate, "template.")
    found.text("template.name", body.name, 255, least=1)
    found.text("template.image", body.image, 500, least=1)
    found.number("template.rootfsSize", body.rootfs_size, 1)
    found.text("template.readme", body.readme, 102_400)
    found.text("template.startCommand", body.start_command, 2047)
    found.text("template.entrypoint", body.entrypoint, 2047)
    found.word("template.type", body.type, "instance")
    found.word("template.channel", body.channel, "private")  # not so a copy of an official one
    found.text("template.imageAuth", body.image_auth, 10239)
    for index, group in enumerate(body.ports):
        _ports(found, f"template.ports[{index}]", group)
    check_envs(found, body.envs, "template.envs")
    found.done("the template")


def _ports(found: Problems, where: str, group: TemplatePorts) -> None:
    if group.type is None:
        found.add(f"{where}.type", "is required")
    found.word(f"{where}.type", group.type, "http", "tcp")
    found.count(f"{where}.ports", group.ports, _MOST_IN_A_GROUP)
    for place, port in enumerate(group.ports):
        check_port(found, f"{where}.ports[{place}]", port)


def check_template_query(query: TemplateQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems.of("the listing", query, TemplateQuery)
    found.number("pageSize", query.page_size, 1)
    found.number("pageNum", query.page_num, 1)
    found.done("the listing")
