"""The limits of what is asked of instances."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from .._instance_models import CreateInstance, InstanceQuery, NetworkMount, Tool
from .._words import InstanceKind
from ._problems import MOST_PORTS, Problems, check_envs, check_port

__all__ = ["check_create", "check_instance_query"]

_PORT: Final = re.compile(r"\s*(\d{1,5})/(http|tcp)\s*", re.ASCII)


def check_create(body: CreateInstance) -> None:
    """Raise ValidationError unless *body* keeps to every documented limit."""
    found = Problems.of("the create", body, CreateInstance)
    found.text("name", body.name, 255)
    found.text("productId", body.product_id, 255, least=1)
    found.word("kind", body.kind, "gpu", "cpu")
    if body.kind != InstanceKind.CPU:
        _machine(found, body)
    found.text("imageUrl", body.image_url, 500, least=1)
    found.text("imageAuth", body.image_auth, 10239)
    found.text("imageAuthId", body.image_auth_id, 255)
    ports = _ports(found, body.ports)
    check_envs(found, body.envs or ())
    _tools(found, body.tools or (), ports)
    found.text("command", body.command, 2047)
    found.text("entrypoint", body.entrypoint, 2047)
    _mounts(found, body.network_storages or ())
    found.word("billingMode", body.billing_mode, "onDemand", "monthly", "spot")
    found.number("month", body.month, 0)
    found.number("autoRenewMonth", body.auto_renew_month, 1, 12)
    found.done("the create")


def _machine(found: Problems, body: CreateInstance) -> None:
    if body.gpu_num is None:
        found.add("gpuNum", "is required for a GPU instance")
    if body.rootfs_size is None:
        found.add("rootfsSize", "is required for a GPU instance")
    found.number("gpuNum", body.gpu_num, 1, 8)
    # The cloud raises less than 10 to 10 by itself; nobody should pay for a size they did not ask for.
    found.number("rootfsSize", body.rootfs_size, 10, 6144)


def _ports(found: Problems, text: str | None) -> int:
    entries = text.split(",") if isinstance(text, str) and text else []
    for entry in entries:
        match = _PORT.fullmatch(entry)
        if match is None:
            found.add(
                "ports", "must be port/type separated by commas, type http or tcp", entry[:100]
            )
        else:
            check_port(found, "ports", int(match[1]))
    return len(entries)


def _tools(found: Problems, tools: Sequence[Tool], ports: int) -> None:
    for index, tool in enumerate(tools):
        found.text(f"tools[{index}].name", tool.name, 255, least=1)
        found.port(f"tools[{index}].port", tool.port)
        found.word(f"tools[{index}].type", tool.type, "http")
    if ports + len(tools) > MOST_PORTS:
        found.add(
            "ports", f"ports and tools together must be at most {MOST_PORTS}", ports + len(tools)
        )


def _mounts(found: Problems, mounts: Iterable[NetworkMount]) -> None:
    mounts = tuple(mounts)
    found.count("networkStorages", mounts, 30)
    for index, mount in enumerate(mounts):
        found.text(f"networkStorages[{index}].Id", mount.id, 255, least=1)
        found.text(f"networkStorages[{index}].mountPoint", mount.mount_point, 4095, least=1)


def check_instance_query(query: InstanceQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems.of("the listing", query, InstanceQuery)
    found.number("pageSize", query.page_size, 0)
    found.number("pageNum", query.page_num, 0)
    found.text("name", query.name, 255)
    found.text("productName", query.product_name, 255)
    found.done("the listing")
