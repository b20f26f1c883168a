"""What is on offer: products and clusters."""

from typing import Any, Final

from ...cloud import _routes as routes
from .._checks import BILLING, Rule, a_text
from .._state import World
from .._stock import StockCluster, StockCpuProduct, StockProduct
from ._base import Call, Wire, answers, part

_PRODUCTS: Final = (
    a_text("clusterId"),
    Rule(name="gpuNum", kind=int, least=0, most=8),
    a_text("productName"),
    Rule(name="minCpuPerGpu", kind=int, least=0),
    Rule(name="minMemoryPerGpu", kind=int, least=0),
    Rule(name="minRootFSSize", kind=int, least=0),
    Rule(name="billingMethod", choices=BILLING),
)


@answers(routes.LIST_PRODUCTS, _PRODUCTS)
def _products(call: Call) -> Any:
    fields = call.fields
    mode = fields.get("billingMethod") or "onDemand"
    call.world.settle()
    return {
        "data": [
            _product_row(call.world, one, fields.get("clusterId"))
            for one in call.world.stock.products
            if fields.get("clusterId") in (None, *one.free)
            and part(fields.get("productName"), one.name)
            and mode in _methods(one)
            and fields.get("gpuNum", 0) <= one.max_gpus
            and fields.get("minCpuPerGpu", 0) <= one.cpu
            and fields.get("minMemoryPerGpu", 0) <= one.memory
            and fields.get("minRootFSSize", 0) <= one.max_rootfs
        ]
    }


@answers(routes.LIST_CPU_PRODUCTS, _PRODUCTS)
def _cpu_products(call: Call) -> Any:
    fields = call.fields
    rows = [
        _cpu_product_row(call.world, one)
        for one in call.world.stock.cpu_products
        if fields.get("clusterId") in (None, *one.free)
        and part(fields.get("productName"), one.name)
    ]
    return {"data": rows} if call.world.quirks.wrapped_cpu_products else rows


@answers(routes.LIST_CLUSTERS)
def _clusters(call: Call) -> Any:
    return {"data": [_cluster_row(call.world, one) for one in call.world.stock.clusters]}


# -- as it is written ------------------------------------------------------------------------------


def _product_row(world: World, one: StockProduct, cluster_id: str | None) -> Wire:
    """Return a row of the products list; stock is that of one cluster, or of all."""
    names = {cluster.id: cluster.name for cluster in world.stock.clusters}
    if world.quirks.product_regions == "codes":
        names = {place: name.partition(" ")[0] for place, name in names.items()}
    places = [cluster_id] if cluster_id else list(one.free)
    left = sum(world.free.get((one.id, place), 0) for place in places)
    began = sum(one.free.get(place, 0) for place in places)
    row: Wire = {
        "id": one.id,
        "name": one.name,
        "cpuPerGpu": one.cpu,
        "memoryPerGpu": one.memory,
        "diskPerGpu": one.disk,
        "availableDeploy": one.available and not (began and not left),
        "minRootFS": one.min_rootfs,
        "maxRootFS": one.max_rootfs,
        "minLocalStorage": 0,
        "maxLocalStorage": one.disk,
        "regions": [names[place] for place in one.free if place in names],
        "price": _price(world, one.price),
        "monthlyPrice": [{"price": _price(world, one.monthly_price), "month": 1}]
        if one.monthly_price
        else [],
        "billingMethods": _methods(one),
        "inventoryState": _inventory(one, left),
    }
    if one.spot_price is not None:
        row["spotPrice"] = (
            one.spot_price if world.quirks.prices_as_text else int(one.spot_price or 0)
        )
    return row


def _methods(one: StockProduct) -> list[str]:
    """Return the billing modes a product is offered in."""
    offered = {
        "onDemand": one.price,
        "monthly": one.monthly_price,
        "spot": int(one.spot_price or 0),
    }
    return [mode for mode, price in offered.items() if price]


def _price(world: World, amount: int | None) -> str | int | None:
    return str(amount) if world.quirks.prices_as_text else amount


def _inventory(one: StockProduct, left: int) -> str:
    if not one.available:
        return "none"
    return "low" if left < 8 else "normal" if left < 128 else "high"


def _cpu_product_row(world: World, one: StockCpuProduct) -> Wire:
    """Return a row of the CPU products list."""
    return {
        "id": one.id,
        "name": one.name,
        "cpuNum": one.cpu,
        "memorySize": one.memory,
        "rootfsSize": one.rootfs,
        "localVolumeSize": one.local_volume,
        "availableDeploy": any(world.free.get((one.id, place), 0) for place in one.free),
        "price": _price(world, one.price),
    }


def _cluster_row(world: World, one: StockCluster) -> Wire:
    """Return a row of the clusters list."""
    names = dict.fromkeys(kind.name for kind in world.stock.products if one.id in kind.free)
    return {
        "id": one.id,
        "name": one.name,
        "availableGpuType": list(names),
        "supportNetworkStorage": one.network_storage,
        "supportInstanceNetwork": one.instance_network,
    }
