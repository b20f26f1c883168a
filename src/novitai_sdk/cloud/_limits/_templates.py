"""The limits of what is asked of templates."""

from typing import Final

from .._template_models import NewTemplate, TemplatePorts, TemplateQuery
from .._words import Channel
from ._problems import Problems, check_envs, check_port

__all__ = ["check_template", "check_template_query"]

_MOST_IN_A_GROUP: Final = 10


def check_template(body: NewTemplate) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems()
    found.text("template.name", body.name, 255, least=1)
    found.text("template.image", body.image, 500, least=1)
    found.number("template.rootfsSize", body.rootfs_size, 1)
    found.text("template.readme", body.readme, 102_400)
    found.text("template.startCommand", body.start_command, 2047)
    found.text("template.entrypoint", body.entrypoint, 2047)
    if body.type != "instance":
        found.add("template.type", "must be instance", body.type[:100])
    if body.channel is not Channel.PRIVATE:
        # Such as a copy of an official one.
        found.add("template.channel", "must be private", str(body.channel)[:100])
    if body.image_auth is not None:
        found.text("template.imageAuth", body.image_auth.reveal(), 10239, secret=True)
    for index, group in enumerate(body.ports):
        _ports(found, f"template.ports[{index}]", group)
    check_envs(found, body.envs, "template.envs")
    found.done("the template")


def _ports(found: Problems, where: str, group: TemplatePorts) -> None:
    if group.type is None or not group.type.known:
        found.add(f"{where}.type", "must be http or tcp", str(group.type)[:100])
    found.count(f"{where}.ports", group.ports, _MOST_IN_A_GROUP)
    for place, port in enumerate(group.ports):
        check_port(found, f"{where}.ports[{place}]", port)


def check_template_query(query: TemplateQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems()
    found.number("pageSize", query.page_size, 1)
    found.number("pageNum", query.page_num, 1)
    found.done("the listing")
