"""How the cloud writes its records.

Written by hand and not by the converter that reads them: a mistake shared by both ends would never show.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ._state import Machine, World
from ._stock import StockCluster, StockCpuProduct, StockCredential, StockProduct, StockTemplate

__all__ = ["cluster", "cpu_product", "credential", "detail", "item", "product", "template"]

Wire = dict[str, Any]


def _host(machine: Machine) -> str:
    return f"{machine.cluster.label}.gpu-instance.novita.ai"


def _endpoint(machine: Machine, port: int, kind: str) -> str:
    if not machine.running:
        return ""
    if kind == "http":
        return f"https://{machine.id}-{port}.{_host(machine)}"
    # The outer port differs from the inner one, so whoever builds addresses is found out.
    return f"proxy.{_host(machine)}:{machine.ssh_port + 1 + machine.ports.index((port, kind))}"


def item(world: World, machine: Machine) -> Wire:
    """Return the record a list shows."""
    quirks = world.quirks
    record = _record(world, machine)
    lean = quirks.lists_are_lean
    record["portMappings"] = _port_mappings(machine, endpoints=not lean)
    return record if lean else {**record, **_components(machine)}


def detail(world: World, machine: Machine) -> Wire:
    """Return the record of one instance."""
    record = _record(world, machine)
    record["portMappings"] = _port_mappings(machine, endpoints=True)
    return {**record, **_components(machine)}


def _record(world: World, machine: Machine) -> Wire:
    product, spec = machine.product, machine.spec
    gpus = machine.gpus if machine.kind == "gpu" else 0
    state, message = machine.error
    record: Wire = {
        "id": machine.id,
        "name": machine.name,
        "clusterId": machine.cluster.id,
        "clusterName": machine.cluster.name,
        "status": machine.status,
        "statusError": {"state": state, "message": message},
        "imageUrl": spec.get("imageUrl"),
        "imageAuthId": spec.get("imageAuthId") or "",
        "command": spec.get("command") or "",
        "entrypoint": spec.get("entrypoint") or "",
        "cpuNum": str(product.cpu * machine.gpus),
        "memory": str(product.memory * machine.gpus),
        "gpuNum": str(gpus),
        "portMappings": [],
        "productId": product.id,
        "productName": product.name,
        "rootfsSize": machine.rootfs,
        "volumeMounts": [],
        "envs": [{"key": key, "value": value} for key, value in machine.envs],
        "tools": [dict(tool) for tool in machine.tools],
        "kind": machine.kind,
        "billingMode": machine.billing,
        "endTime": "-1" if machine.expires_at is None else str(int(machine.expires_at)),
        "spotStatus": machine.spot_status,
        "spotReclaimTime": str(int(machine.spot_reclaim_at)),
        "network": {"id": spec.get("networkId") or "", "ip": ""},
        "node": {"maxRootfsSize": 500},
        "freeStorageSize": 60,
        "keepDataDay": 7,
        "jobs": [],
        "createdAt": str(int(machine.created_at)),
    }
    if not world.quirks.blank_enums and not machine.spot_status:
        del record["spotStatus"]
    return record


def _port_mappings(machine: Machine, *, endpoints: bool) -> list[Wire]:
    return [
        {
            "port": port,
            "type": kind,
            **({"endpoint": _endpoint(machine, port, kind)} if endpoints else {}),
        }
        for port, kind in machine.ports
    ]


def _components(machine: Machine) -> Wire:
    up = machine.running
    jupyter = next((tool for tool in machine.tools if tool.get("name") == "Jupyter"), None)
    host = _host(machine)
    return {
        "connectComponentSSH": {
            "sshCommand": f"ssh -p {machine.ssh_port} root@proxy.{host}" if up else "",
            "password": machine.password if up else "",
            "isRunning": up,
        },
        "connectComponentWebTerminal": {
            "address": f"https://{machine.id}-2223.{host}" if up else "",
            "username": "root" if up else "",
            "password": machine.password if up else "",
            "isRunning": up,
        },
        "connectComponentJupyter": {
            "port": int(str(jupyter.get("port") or 8888)) if jupyter else 0,
            "address": f"https://{machine.id}-{jupyter.get('port') or 8888}.{host}"
            if jupyter and up
            else "",
            "isRunning": bool(jupyter) and up,
        },
        "connectComponentLog": {
            "systemLogAddress": f"https://{machine.id}-log.{host}/system" if up else "",
            "instanceLogAddress": f"https://{machine.id}-log.{host}/instance" if up else "",
            "isRunning": up,
        },
    }


# -- what is on offer ------------------------------------------------------------------------------


def product(world: World, one: StockProduct, cluster_id: str | None) -> Wire:
    """Return a row of the products list; stock is that of one cluster, or of all."""
    names = {cluster.id: cluster.name for cluster in world.stock.clusters}
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
        "billingMethods": methods(one),
        "inventoryState": _inventory(one, left),
    }
    if one.spot_price is not None:
        row["spotPrice"] = (
            one.spot_price if world.quirks.prices_as_text else int(one.spot_price or 0)
        )
    return row


def methods(one: StockProduct) -> list[str]:
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


def cpu_product(world: World, one: StockCpuProduct) -> Wire:
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


def cluster(world: World, one: StockCluster) -> Wire:
    """Return a row of the clusters list."""
    names = dict.fromkeys(kind.name for kind in world.stock.products if one.id in kind.free)
    return {
        "id": one.id,
        "name": one.name,
        "availableGpuType": list(names),
        "supportNetworkStorage": one.network_storage,
        "supportInstanceNetwork": one.instance_network,
    }


def template(one: StockTemplate) -> Wire:
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


def credential(one: StockCredential) -> Mapping[str, str]:
    """Return a row of the credentials list."""
    return {"id": one.id, "name": one.registry, "username": one.username, "password": one.password}
