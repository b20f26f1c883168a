"""Templates."""

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Final

from ...cloud import _routes as routes
from .._checks import Rule, a_text
from .._state import Refused, World
from .._stock import StockTemplate
from ._base import DEFAULT_PAGE, Call, Wire, answers, invalid, page_of, part

_TEMPLATES: Final = (
    Rule(name="pageSize", kind=int, least=1),
    Rule(name="pageNum", kind=int, least=1),
    a_text("name"),
    a_text("type"),
    a_text("channel"),
    Rule(name="isMyCommunity", kind=bool),
)
_TEMPLATE: Final = (a_text("templateId", least=1, required=True),)
_FIELDS: Final = (
    a_text("name", least=1, required=True),
    a_text("readme", 102_400),
    Rule(name="type", choices=("instance",), required=True),
    Rule(name="channel", choices=("private",), required=True),
    a_text("image", 500, least=1, required=True),
    a_text("imageAuth", 10_239),
    a_text("startCommand", 2047),
    a_text("entrypoint", 2047),
    Rule(name="rootfsSize", kind=int, least=1, required=True),
    Rule(
        name="ports",
        kind=list,
        items=(
            Rule(name="type", choices=("http", "tcp"), required=True),
            Rule(name="ports", kind=list, most=10, ports=True, required=True),
        ),
    ),
    Rule(
        name="envs",
        kind=list,
        most=100,
        items=(a_text("key", 511, least=1, required=True), a_text("value", 4095)),
    ),
    Rule(
        name="volumes",
        kind=list,
        items=(Rule(name="type"), Rule(name="size", kind=int), Rule(name="mountPath")),
    ),
    Rule(
        name="tools",
        kind=list,
        items=(
            Rule(name="name", least=1, required=True),
            Rule(name="describe"),
            Rule(name="port", kind=int),
            Rule(name="type", choices=("http", "tcp")),
        ),
    ),
    Rule(name="minCudaVersion"),
)
_NEW: Final = (Rule(name="template", kind=dict, required=True, items=_FIELDS),)
_CHANGED: Final = (
    Rule(
        name="template",
        kind=dict,
        required=True,
        items=(a_text("Id", least=1, required=True), *_FIELDS),
    ),
)
_LATE: Final = 5.0


@answers(routes.LIST_TEMPLATES, _TEMPLATES)
def _templates(call: Call) -> Any:
    fields = call.fields
    if call.world.quirks.template_filters_required:
        for name in ("channel", "isMyCommunity"):
            if name not in fields:
                raise invalid(name, "is required")
    channels = [word for word in fields.get("channel", "").split(",") if word]
    wanted = [
        one
        for one in call.world.templates.values()
        if one.owner in ("", call.account.name)
        and call.world.listed_from.get(one.id, 0.0) <= call.world.clock.monotonic()
        and part(fields.get("name"), one.name)
        and (not channels or one.channel in channels)
        and fields.get("isMyCommunity") in (None, False, one.channel == "private")
        and fields.get("type") in (None, "instance")
    ]
    number = fields.get("pageNum", 1)
    page, total = page_of(call, wanted, number - 1)
    return {
        "template": [_row(call.world, one) for one in page],
        "total": total,
        "pageSize": fields.get("pageSize", DEFAULT_PAGE),
        "pageNum": number,
    }


@answers(routes.GET_TEMPLATE, _TEMPLATE)
def _template(call: Call) -> Any:
    return {"template": _row(call.world, _known_template(call))}


def _known_template(call: Call) -> StockTemplate:
    return _known(call, call.fields["templateId"])


def _known(call: Call, wanted: str, *, own: bool = False) -> StockTemplate:
    found = call.world.templates.get(wanted)
    theirs = (call.account.name,) if own else (call.account.name, "")
    if found is None or found.owner not in theirs:
        raise Refused(400, "TEMPLATE_NOT_FOUND", "template not found")
    return found


def _row(world: World, one: StockTemplate) -> Wire:
    """Return a template."""
    made = datetime.fromtimestamp(one.created_at, timezone.utc)
    when = (
        {"createTime": made.isoformat()}
        if world.quirks.template_times_elsewhere
        else {"createdAt": str(int(one.created_at))}
    )
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
        "volumes": [dict(volume) for volume in one.volumes],
        "tools": [
            *({"name": name, "describe": "", "port": 8888, "type": "http"} for name in one.tools),
            *(dict(tool) for tool in one.given_tools),
        ],
        "minCudaVersion": one.min_cuda,
        **when,
        "recommendCards": [],
        "user": one.owner or ("novita" if one.channel == "official" else "emulated-user"),
    }


def _grouped(ports: Sequence[tuple[int, str]]) -> list[Wire]:
    groups: dict[str, list[int]] = {}
    for port, kind in ports:
        groups.setdefault(kind, []).append(port)
    return [{"type": kind, "ports": numbers} for kind, numbers in groups.items()]


@answers(routes.CREATE_TEMPLATE, _NEW)
def _create(call: Call) -> Any:
    world = call.world
    made = _made(
        call, str(200_000 + int(world.draw("template", 4), 16)), created_at=world.clock.time()
    )
    world.templates[made.id] = made
    if world.quirks.new_templates_listed_late:
        world.listed_from[made.id] = world.clock.monotonic() + _LATE * world.life
    return {"templateId": made.id}


@answers(routes.UPDATE_TEMPLATE, _CHANGED)
def _update(call: Call) -> Any:
    known = _known(call, call.fields["template"]["Id"], own=True)
    call.world.templates[known.id] = _made(call, known.id, created_at=known.created_at)
    return {"templateId": known.id}


@answers(routes.DELETE_TEMPLATE, _TEMPLATE)
def _delete(call: Call) -> Any:
    known = _known(call, call.fields["templateId"], own=True)
    del call.world.templates[known.id]
    return {"templateId": known.id}


def _made(call: Call, template_id: str, *, created_at: float) -> StockTemplate:
    fields = call.fields["template"]
    return StockTemplate(
        id=template_id,
        owner=call.account.name,
        name=fields["name"],
        image=fields["image"],
        channel="private",
        readme=fields.get("readme", ""),
        image_auth=fields.get("imageAuth", ""),
        start_command=fields.get("startCommand", ""),
        entrypoint=fields.get("entrypoint", ""),
        rootfs=fields["rootfsSize"],
        ports=tuple(
            (port, group["type"])
            for group in fields.get("ports", ())
            for port in group.get("ports", ())
        ),
        envs={one["key"]: one.get("value", "") for one in fields.get("envs", ())},
        volumes=tuple(fields.get("volumes", ())),
        given_tools=tuple(fields.get("tools", ())),
        created_at=created_at,
        min_cuda=fields.get("minCudaVersion", ""),
    )
