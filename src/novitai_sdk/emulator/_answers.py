"""What the emulated cloud answers: one function for each operation of the route table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from ..cloud import _routes as routes
from ..cloud._route import AnyRoute
from . import _checks as checks
from . import _wire as wire
from ._checks import Rule, parse_ports
from ._state import Account, Machine, Refused, World
from ._stock import StockCluster, StockCpuProduct, StockProduct, StockTemplate

__all__ = ["ANSWERS", "Call", "Operation"]

Fields = Mapping[str, Any]
_T = TypeVar("_T")

_MONTH: Final = 30 * 24 * 3600.0
_DEFAULT_PAGE: Final = 10


@attrs.frozen(kw_only=True)
class Call:
    """One request that passed its checks."""

    world: World
    account: Account
    fields: Fields
    cut: int | None = None
    """A fault: lists end after so many entries, while ``total`` goes on promising more."""


Answerer = Callable[[Call], Any]


@attrs.frozen(kw_only=True)
class Operation:
    """A route, the rules of its request, and the function that answers it."""

    route: AnyRoute
    rules: Sequence[Rule]
    answer: Answerer


ANSWERS: Final[dict[tuple[str, str], Operation]] = {}
"""Every operation the emulator knows, by method and path."""


def _answers(route: AnyRoute, rules: Sequence[Rule] = ()) -> Callable[[Answerer], Answerer]:
    def keep(answer: Answerer) -> Answerer:
        ANSWERS[route.method, route.url] = Operation(route=route, rules=rules, answer=answer)
        return answer

    return keep


# -- instances -------------------------------------------------------------------------------------


@_answers(routes.CREATE_INSTANCE, checks.CREATE)
def _create(call: Call) -> Any:
    world, fields = call.world, call.fields
    ports = parse_ports(fields.get("ports", ""))
    tools = fields.get("tools", [])
    if len(ports) + len(tools) > 15:
        raise _invalid("ports", "ports and tools together must be at most 15")
    kind = fields.get("kind") or "gpu"
    product = _product(world, kind, fields["productId"])
    gpus, rootfs = _size(product, fields)
    billing, price = _billing(product, fields)
    doom = _pull_problem(call.account, fields)
    cluster = _place(world, product, gpus, fields.get("clusterId", ""))
    world.take(product.id, cluster.id, gpus)
    now = world.clock.time()
    machine = Machine(
        id=world.draw("instance"),
        account=call.account,
        spec=fields,
        kind=kind,
        product=product,
        cluster=cluster,
        gpus=gpus,
        rootfs=rootfs,
        billing=billing,
        price=price,
        ports=ports,
        tools=tools,
        envs=tuple((env["key"], env.get("value", "")) for env in fields.get("envs", [])),
        password=world.draw("password", 12),
        ssh_port=40000 + len(world.machines) * 20 % 20000,
        status="pending" if world.quirks.starts_pending else "toCreate",
        since=world.clock.monotonic(),
        created_at=now,
        expires_at=now + fields.get("month", 0) * _MONTH if billing == "monthly" else None,
        doom=doom,
        spot_status="running" if billing == "spot" else "",
    )
    world.add(machine)
    return {"id": machine.id}


def _invalid(field: str, message: str) -> Refused:
    return Refused(
        400, "VALIDATOR_PARAM", f"invalid parameter {field}: {message}", {field: message}
    )


def _product(world: World, kind: str, product_id: str) -> StockProduct | StockCpuProduct:
    offers: Sequence[StockProduct | StockCpuProduct] = (
        world.stock.cpu_products if kind == "cpu" else world.stock.products
    )
    found = next((one for one in offers if one.id == product_id), None)
    if found is None:
        raise Refused(
            400, "RESOURCE_NOT_FOUND", f"{kind} product not found", {"productId": product_id}
        )
    return found


def _size(product: StockProduct | StockCpuProduct, fields: Fields) -> tuple[int, int]:
    if isinstance(product, StockCpuProduct):
        return 1, product.rootfs
    for name in ("gpuNum", "rootfsSize"):
        if name not in fields:
            raise _invalid(name, "is required")
    gpus, rootfs = int(fields["gpuNum"]), max(10, int(fields["rootfsSize"]))
    if not product.min_rootfs <= rootfs <= product.max_rootfs:
        raise _invalid(
            "rootfsSize", f"must be {product.min_rootfs} to {product.max_rootfs} for {product.id}"
        )
    if gpus > product.max_gpus:
        raise Refused(
            400,
            "INSUFFICIENT_RESOURCE",
            f"{product.id} has at most {product.max_gpus} GPUs per node",
        )
    return gpus, rootfs


def _billing(product: StockProduct | StockCpuProduct, fields: Fields) -> tuple[str, int]:
    # A month above 0 forces monthly, whatever the mode says.
    mode: str = "monthly" if fields.get("month", 0) > 0 else fields.get("billingMode") or "onDemand"
    if isinstance(product, StockCpuProduct):
        prices: Mapping[str, int] = {"onDemand": product.price}
    else:
        # Cost is followed by the hour: a month's price is spread over the 720 hours of 30 days.
        monthly = (product.monthly_price or 0) // 720
        prices = {
            "onDemand": product.price,
            "monthly": monthly,
            "spot": int(product.spot_price or 0),
        }
    if not prices.get(mode):
        raise Refused(
            400,
            "UNSUPPORTED_BILLING_MODE",
            f"{product.id} is not offered {mode}",
            {"billingMode": mode},
        )
    if mode == "monthly" and not fields.get("month", 0):
        raise _invalid("month", "is required for monthly billing")
    return mode, prices[mode]


def _pull_problem(account: Account, fields: Fields) -> tuple[str, str] | None:
    image, by_id = fields["imageUrl"], fields.get("imageAuthId", "")
    if by_id and not any(one.id == by_id for one in account.credentials):
        raise Refused(400, "RESOURCE_NOT_FOUND", "image auth not found", {"imageAuthId": by_id})
    needed = [one for one in account.credentials if image.startswith(f"{one.registry}/")]
    given = fields.get("imageAuth", "")
    if not needed or any(
        one.id == by_id or f"{one.username}:{one.password}" == given for one in needed
    ):
        return None
    return "pullFailed", f"failed to pull image {image}: unauthorized"


def _place(
    world: World, product: StockProduct | StockCpuProduct, gpus: int, cluster_id: str
) -> StockCluster:
    if cluster_id:
        found = world.cluster(cluster_id)
        if found is None:
            raise Refused(400, "RESOURCE_NOT_FOUND", "cluster not found", {"clusterId": cluster_id})
        return found
    places = [one for one in world.stock.clusters if one.id in product.free]
    if not any(world.free.get((product.id, one.id), 0) >= gpus for one in places):
        world.settle()
    roomy = [one for one in places if world.free.get((product.id, one.id), 0) >= gpus]
    if not places:
        raise Refused(400, "INSUFFICIENT_RESOURCE", f"insufficient resource: {product.id} anywhere")
    return (roomy or places)[0]


@_answers(routes.LIST_INSTANCES, checks.LIST)
def _list(call: Call) -> Any:
    fields = call.fields
    wanted = [
        machine
        for machine in call.world.visible(call.account)
        if _part(fields.get("name"), machine.name)
        and _part(fields.get("productName"), machine.product.name)
        and fields.get("status") in (None, "", machine.status)
    ]
    number = fields.get("pageNum", 0)
    page, total = _page(
        call, wanted, number - 1 if call.world.quirks.page_zero_is_page_one else number
    )
    return {"instances": [wire.item(call.world, machine) for machine in page], "total": total}


def _part(part: str | None, text: str) -> bool:
    return not part or part.lower() in text.lower()


def _page(call: Call, things: Sequence[_T], index: int) -> tuple[Sequence[_T], int | str]:
    size = call.fields.get("pageSize") or _DEFAULT_PAGE
    start = max(0, index) * size
    total = len(things)
    page = things[: call.cut][start : start + size]
    return page, str(total) if call.world.quirks.total_as_text else total


@_answers(routes.GET_INSTANCE, checks.INSTANCE)
def _get(call: Call) -> Any:
    machine = call.world.machine(call.account, call.fields["instanceId"])
    if machine is None and call.world.quirks.unknown_instance == "empty":
        return {}
    return wire.detail(call.world, machine or _unknown(call))


def _unknown(call: Call) -> Machine:
    if call.world.quirks.unknown_instance == "400":
        raise Refused(400, "RESOURCE_NOT_FOUND", "instance not fount")
    raise Refused(404, "RESOURCE_NOT_FOUND", "instance not found")


def _known(call: Call) -> Machine:
    return call.world.machine(call.account, call.fields["instanceId"]) or _unknown(call)


def _acted(call: Call, action: str) -> Any:
    machine = _known(call)
    call.world.act(machine, action)
    return (
        {"instanceId": machine.id, "state": machine.status}
        if call.world.quirks.actions_answer
        else None
    )


@_answers(routes.START_INSTANCE, checks.INSTANCE)
def _start(call: Call) -> Any:
    return _acted(call, "start")


@_answers(routes.STOP_INSTANCE, checks.INSTANCE)
def _stop(call: Call) -> Any:
    return _acted(call, "stop")


@_answers(routes.DELETE_INSTANCE, checks.INSTANCE)
def _delete(call: Call) -> Any:
    machine = _known(call)
    if machine.expires_at is not None and machine.expires_at > call.world.clock.time():
        raise Refused(
            400,
            "PREPAID_INSTANCE_NOT_SUPPORT_RELEASE",
            "a monthly instance cannot be deleted before it expires",
        )
    if machine.status == "removed":
        _unknown(call)
    call.world.act(machine, "delete")
    return None


# -- what is on offer --------------------------------------------------------------------------------


@_answers(routes.LIST_PRODUCTS, checks.PRODUCTS)
def _products(call: Call) -> Any:
    fields = call.fields
    mode = fields.get("billingMethod") or "onDemand"
    call.world.settle()
    return {
        "data": [
            wire.product(call.world, one, fields.get("clusterId"))
            for one in call.world.stock.products
            if fields.get("clusterId") in (None, *one.free)
            and _part(fields.get("productName"), one.name)
            and mode in wire.methods(one)
            and fields.get("gpuNum", 0) <= one.max_gpus
            and fields.get("minCpuPerGpu", 0) <= one.cpu
            and fields.get("minMemoryPerGpu", 0) <= one.memory
            and fields.get("minRootFSSize", 0) <= one.max_rootfs
        ]
    }


@_answers(routes.LIST_CPU_PRODUCTS, checks.PRODUCTS)
def _cpu_products(call: Call) -> Any:
    fields = call.fields
    rows = [
        wire.cpu_product(call.world, one)
        for one in call.world.stock.cpu_products
        if fields.get("clusterId") in (None, *one.free)
        and _part(fields.get("productName"), one.name)
    ]
    return {"data": rows} if call.world.quirks.wrapped_cpu_products else rows


@_answers(routes.LIST_CLUSTERS)
def _clusters(call: Call) -> Any:
    return {"data": [wire.cluster(call.world, one) for one in call.world.stock.clusters]}


@_answers(routes.LIST_TEMPLATES, checks.TEMPLATES)
def _templates(call: Call) -> Any:
    fields = call.fields
    channels = [word for word in fields.get("channel", "").split(",") if word]
    wanted = [
        one
        for one in call.world.stock.templates
        if _part(fields.get("name"), one.name)
        and (not channels or one.channel in channels)
        and fields.get("isMyCommunity") in (None, False, one.channel == "private")
        and fields.get("type") in (None, "instance")
    ]
    number = fields.get("pageNum", 1)
    page, total = _page(call, wanted, number - 1)
    return {
        "template": [wire.template(one) for one in page],
        "total": total,
        "pageSize": fields.get("pageSize", _DEFAULT_PAGE),
        "pageNum": number,
    }


@_answers(routes.GET_TEMPLATE, checks.TEMPLATE)
def _template(call: Call) -> Any:
    return {"template": wire.template(_known_template(call))}


def _known_template(call: Call) -> StockTemplate:
    wanted = call.fields["templateId"]
    found = next((one for one in call.world.stock.templates if one.id == wanted), None)
    if found is None:
        raise Refused(400, "TEMPLATE_NOT_FOUND", "template not found")
    return found


@_answers(routes.LIST_REGISTRIES)
def _registries(call: Call) -> Any:
    return {"data": [wire.credential(one) for one in call.account.credentials]}
