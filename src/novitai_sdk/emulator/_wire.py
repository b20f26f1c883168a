"""How the cloud writes an instance.

Written by hand and not by the converter that reads them: a mistake shared by both ends would never show.
"""

from typing import Any

from ._life import JOB_STEPS
from ._state import Machine, World

__all__ = ["detail", "item"]

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
    # A number in the record of one instance, and a text here.
    for mount in record["volumeMounts"]:
        mount["size"] = str(mount["size"]) if quirks.volume_sizes_mixed else mount["size"]
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
        "cpuNum": product.cpu * machine.gpus,
        "memory": product.memory * machine.gpus,
        "gpuNum": gpus,
        "portMappings": [],
        "productId": product.id,
        "productName": product.name,
        "rootfsSize": machine.rootfs,
        "volumeMounts": [
            {"type": "network", "id": one, "size": world.storages[one].size, "mountPath": path}
            for one, path in machine.mounts
        ],
        "envs": _envs(world, machine),
        "tools": [dict(tool) for tool in machine.tools],
        "kind": machine.kind,
        "billingMode": _billing(world, machine),
        "endTime": "-1" if machine.expires_at is None else str(int(machine.expires_at)),
        "spotStatus": machine.spot_status,
        "spotReclaimTime": str(int(machine.spot_reclaim_at)),
        "network": {"id": machine.place[0], "ip": machine.place[1]},
        "node": {"maxRootfsSize": 500},
        "freeStorageSize": 60,
        "keepDataDay": 7,
        "jobs": [
            {"id": job.id, "type": job.type}
            for job in world.jobs_of(machine.account)
            if job.machine_id == machine.id and job.state in JOB_STEPS
        ],
        "createdAt": str(int(machine.created_at)),
    }
    if world.quirks.counts_as_text:
        record.update({name: str(record[name]) for name in ("cpuNum", "memory", "gpuNum")})
    if not world.quirks.blank_enums and not machine.spot_status:
        del record["spotStatus"]
    if world.quirks.node_in_list:
        record["node"] = [record["node"]]
    return record


def _envs(world: World, machine: Machine) -> list[Wire]:
    how = world.quirks.env_values
    if how == "hidden":
        return []
    return [
        {"key": key, "value": "******" if how == "masked" else value} for key, value in machine.envs
    ]


def _billing(world: World, machine: Machine) -> str:
    unset = machine.billing == "onDemand" and not machine.spec.get("billingMode")
    return "" if unset and world.quirks.blank_enums else machine.billing


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
