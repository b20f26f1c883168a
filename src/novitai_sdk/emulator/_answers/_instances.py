"""Instances: create, list, get, start, stop, delete."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...cloud import _routes as routes
from .. import _wire as wire
from .._checks import BILLING, Rule, a_text, is_port, parse_ports
from .._deeds import NO_STOCK
from .._holdings import Network
from .._state import MONTH, Account, Machine, Refused, World
from .._stock import StockCluster, StockCpuProduct, StockProduct
from ._base import Call, Fields, answers, invalid, page_of, part

__all__ = ["known", "mounts_of", "pull_problem", "unknown"]


_STATUSES: Final = (
    "pending", "toCreate", "creating", "pulling", "running", "toStart", "starting", "toStop", "stopping", "exited",
    "toRestart", "restarting", "toReset", "resetting", "migrating", "freezing", "toRemove", "removing", "removed",
)  # fmt: skip
_CREATE: Final = (
    a_text("name"),
    a_text("productId", least=1, required=True),
    Rule(name="kind", choices=("gpu", "cpu")),
    Rule(name="gpuNum", kind=int, least=1, most=8),
    Rule(name="rootfsSize", kind=int, least=0, most=6144),
    a_text("imageUrl", 500, least=1, required=True),
    a_text("imageAuth", 10239),
    a_text("imageAuthId"),
    a_text("ports", 4095),
    Rule(
        name="envs",
        kind=list,
        most=100,
        items=(a_text("key", 511, least=1, required=True), a_text("value", 4095)),
    ),
    Rule(
        name="tools",
        kind=list,
        most=15,
        items=(
            Rule(name="name", required=True, choices=("Jupyter",)),
            a_text("port", 5),
            Rule(name="type", choices=("http",)),
        ),
    ),
    a_text("command", 2047),
    a_text("entrypoint", 2047),
    a_text("clusterId"),
    Rule(
        name="networkStorages",
        kind=list,
        most=30,
        items=(a_text("Id", least=1, required=True), a_text("mountPoint", 4095, least=1)),
    ),
    a_text("networkId"),
    Rule(name="billingMode", choices=BILLING),
    Rule(name="month", kind=int, least=0, most=120),
    Rule(name="autoRenew", kind=bool),
    Rule(name="autoRenewMonth", kind=int, least=1, most=12),
    a_text("minCudaVersion", 20),
    a_text("localStorageMountPoint", 4095),
)
_INSTANCE: Final = (a_text("instanceId", least=1, required=True),)
_LIST: Final = (
    Rule(name="pageSize", kind=int, least=0),
    Rule(name="pageNum", kind=int, least=0),
    a_text("name"),
    a_text("productName"),
    Rule(name="status", choices=_STATUSES),
)


@answers(routes.CREATE_INSTANCE, _CREATE)
def _create(call: Call) -> Any:
    world, fields = call.world, call.fields
    if not (fields.get("kind") or world.quirks.kind_may_be_left_out):
        raise invalid("kind", "is required")
    ports = parse_ports(fields.get("ports", ""))
    tools = fields.get("tools", [])
    for index, tool in enumerate(tools):
        if tool.get("port") and not is_port(tool["port"]):
            raise invalid(f"tools[{index}].port", "must be a port of yours")
    if len(ports) + len(tools) > 15:
        raise invalid("ports", "ports and tools together must be at most 15")
    kind = fields.get("kind") or "gpu"
    product = _product(world, kind, fields["productId"])
    gpus, rootfs = _size(product, fields)
    billing, price = _billing(product, fields)
    doom = pull_problem(call.account, fields)
    network = _network(call)
    mounts = mounts_of(call, fields.get("networkStorages", []), "Id", "mountPoint")
    near = [one.cluster for one in (network, *(world.storages[one] for one, _ in mounts)) if one]
    cluster = _place(world, product, gpus, fields.get("clusterId") or (near[0].id if near else ""))
    if any(one is not cluster for one in near):
        raise invalid("clusterId", "network and network storages must be in the instance's cluster")
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
        expires_at=now + fields.get("month", 0) * MONTH if billing == "monthly" else None,
        doom=doom,
        spot_status="running" if billing == "spot" else "",
        mounts=mounts,
        place=(network.id, network.next_ip()) if network else ("", ""),
        auto_renew=fields.get("autoRenewMonth", 1) if fields.get("autoRenew") else 0,
    )
    world.add(machine)
    return {"id": machine.id}


def _network(call: Call) -> Network | None:
    wanted = call.fields.get("networkId")
    if not wanted:
        return None
    for network in call.world.networks_of(call.account):
        if network.id == wanted:
            return network
    raise Refused(400, "NETWORK_NOT_FOUND", "network not found", {"networkId": wanted})


def mounts_of(
    call: Call, asked: Sequence[Fields], id_name: str, path_name: str
) -> tuple[tuple[str, str], ...]:
    """Return which storages are to be mounted where, or raise Refused for one there is none of."""
    own = {one.id for one in call.world.storages_of(call.account)}
    for one in asked:
        if one[id_name] not in own:
            raise Refused(
                400,
                "NETWORK_STORAGE_NOT_FOUND",
                "network storage not found",
                {"storageId": one[id_name]},
            )
    return tuple((one[id_name], one.get(path_name) or "/network") for one in asked)


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
            raise invalid(name, "is required")
    gpus, rootfs = int(fields["gpuNum"]), max(10, int(fields["rootfsSize"]))
    if not product.min_rootfs <= rootfs <= product.max_rootfs:
        raise invalid(
            "rootfsSize", f"must be {product.min_rootfs} to {product.max_rootfs} for {product.id}"
        )
    if gpus > product.max_gpus:
        raise Refused(
            400,
            NO_STOCK,
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
        raise invalid("month", "is required for monthly billing")
    return mode, prices[mode]


def pull_problem(account: Account, fields: Fields) -> tuple[str, str] | None:
    """Return how the pull of an image will fail, or None. Raises Refused for a credential there is none of."""
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
        raise Refused(400, NO_STOCK, f"insufficient resource: {product.id} anywhere")
    return (roomy or places)[0]


@answers(routes.LIST_INSTANCES, _LIST)
def _list(call: Call) -> Any:
    fields = call.fields
    wanted = [
        machine
        for machine in call.world.visible(call.account)
        if part(fields.get("name"), machine.name)
        and part(fields.get("productName"), machine.product.name)
        and fields.get("status") in (None, "", machine.status)
    ]
    number = fields.get("pageNum", 0)
    page, total = page_of(
        call, wanted, number - 1 if call.world.quirks.page_zero_is_page_one else number
    )
    return {"instances": [wire.item(call.world, machine) for machine in page], "total": total}


@answers(routes.GET_INSTANCE, _INSTANCE)
def _get(call: Call) -> Any:
    machine = call.world.machine(call.account, call.fields["instanceId"])
    if machine is None and call.world.quirks.unknown_instance == "empty":
        return {}
    return wire.detail(call.world, machine or unknown(call))


def unknown(call: Call) -> Machine:
    """Refuse an instance nobody knows, in the way that is switched on."""
    if call.world.quirks.unknown_instance == "400":
        raise Refused(400, "RESOURCE_NOT_FOUND", "instance not fount")
    raise Refused(404, "RESOURCE_NOT_FOUND", "instance not found")


def known(call: Call) -> Machine:
    """Return the instance a request names, or raise Refused."""
    return call.world.machine(call.account, call.fields["instanceId"]) or unknown(call)


def _acted(call: Call, action: str) -> Any:
    machine = known(call)
    call.world.act(machine, action)
    return (
        {"instanceId": machine.id, "state": machine.status}
        if call.world.quirks.actions_answer
        else None
    )


@answers(routes.START_INSTANCE, _INSTANCE)
def _start(call: Call) -> Any:
    return _acted(call, "start")


@answers(routes.STOP_INSTANCE, _INSTANCE)
def _stop(call: Call) -> Any:
    return _acted(call, "stop")


@answers(routes.DELETE_INSTANCE, _INSTANCE)
def _delete(call: Call) -> Any:
    machine = known(call)
    if machine.expires_at is not None and machine.expires_at > call.world.clock.time():
        raise Refused(
            400,
            "PREPAID_INSTANCE_NOT_SUPPORT_RELEASE",
            "a monthly instance cannot be deleted before it expires",
        )
    if machine.status == "removed":
        unknown(call)
    call.world.act(machine, "delete")
    return None
