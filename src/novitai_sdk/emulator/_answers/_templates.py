"""Templates."""

from collections.abc import Sequence
from typing import Any, Final

from ...cloud import _routes as routes
from .._checks import Rule, a_text
from .._state import Refused
from .._stock import StockTemplate
from ._base import DEFAULT_PAGE, Call, Wire, answers, page_of, part

_TEMPLATES: Final = (
    Rule(name="pageSize", kind=int, least=1),
    Rule(name="pageNum", kind=int, least=1),
    a_text("name"),
    a_text("type"),
    a_text("channel"),
    Rule(name="isMyCommunity", kind=bool),
)
_TEMPLATE: Final = (a_text("templateId", least=1, required=True),)


@answers(routes.LIST_TEMPLATES, _TEMPLATES)
def _templates(call: Call) -> Any:
    fields = call.fields
    channels = [word for word in fields.get("channel", "").split(",") if word]
    wanted = [
        one
        for one in call.world.stock.templates
        if part(fields.get("name"), one.name)
        and (not channels or one.channel in channels)
        and fields.get("isMyCommunity") in (None, False, one.channel == "private")
        and fields.get("type") in (None, "instance")
    ]
    number = fields.get("pageNum", 1)
    page, total = page_of(call, wanted, number - 1)
    return {
        "template": [_row(one) for one in page],
        "total": total,
        "pageSize": fields.get("pageSize", DEFAULT_PAGE),
        "pageNum": number,
    }


@answers(routes.GET_TEMPLATE, _TEMPLATE)
def _template(call: Call) -> Any:
    return {"template": _row(_known_template(call))}


def _known_template(call: Call) -> StockTemplate:
    wanted = call.fields["templateId"]
    found = next((one for one in call.world.stock.templates if one.id == wanted), None)
    if found is None:
        raise Refused(400, "TEMPLATE_NOT_FOUND", "template not found")
    return found


def _row(one: StockTemplate) -> Wire:
    """Return a template."""
    return {
        "Id": one.id,
        "name": one.name,
        "readme": one.readme,
        "type": "instance",
        "channel": one.channel,
        "image": one.image,
        "imageAuth": one.image_auth,
        "startCommand": one.start_command,
        "entrypoint": one.entrypoint,
        "rootfsSize": one.rootfs,
        "ports": _grouped(one.ports),
        "envs": [{"key": key, "value": value} for key, value in one.envs.items()],
        "volumes": [],
        "tools": [
            {"name": name, "describe": "", "port": 8888, "type": "http"} for name in one.tools
        ],
        "minCudaVersion": one.min_cuda,
        "createdAt": "1767225600",
        "recommendCards": [],
        "user": "novita" if one.channel == "official" else "emulated-user",
    }


def _grouped(ports: Sequence[tuple[int, str]]) -> list[Wire]:
    groups: dict[str, list[int]] = {}
    for port, kind in ports:
        groups.setdefault(kind, []).append(port)
    return [{"type": kind, "ports": numbers} for kind, numbers in groups.items()]
