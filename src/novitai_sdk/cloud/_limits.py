"""The limits the cloud documents, checked before anything is sent.

Every check adds to one list of problems, so that a caller hears of all of them at once.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from ..errors import ValidationError
from ..models import ValidationErrorDetail
from ..models._base import Json
from ._instance_models import CreateInstance, EnvVar, InstanceQuery, NetworkMount, Tool
from ._product_models import ProductQuery
from ._template_models import TemplateQuery
from ._words import InstanceKind

__all__ = [
    "check_create",
    "check_id",
    "check_instance_query",
    "check_product_query",
    "check_template_query",
]

_PORT: Final = re.compile(r"\s*(\d{1,5})/(http|tcp)\s*", re.ASCII)
_RESERVED_PORTS: Final = (2222, 2223, 2224)
_MOST_PORTS: Final = 15


class _Problems:
    def __init__(self) -> None:
        self.details: list[ValidationErrorDetail] = []

    def add(self, field: str, message: str, value: Json = None) -> None:
        self.details.append(ValidationErrorDetail(field=field, message=message, value=value))

    def text(
        self, field: str, value: str | None, most: int, *, least: int = 0, secret: bool = False
    ) -> None:
        if value is None or least <= len(value) <= most:
            return
        shown = "***" if secret else value[:100]
        self.add(field, f"must be {least} to {most} characters long, not {len(value)}", shown)

    def number(self, field: str, value: int | None, least: int, most: int | None = None) -> None:
        if value is None or (value >= least and (most is None or value <= most)):
            return
        span = f"{least} or more" if most is None else f"{least} to {most}"
        self.add(field, f"must be {span}", value)

    def count(self, field: str, items: Sequence[object], most: int) -> None:
        if len(items) > most:
            self.add(field, f"must have at most {most} entries, not {len(items)}")

    def done(self, what: str) -> None:
        if self.details:
            raise ValidationError(f"{what} was not sent", self.details)


def check_create(body: CreateInstance) -> None:
    """Raise ValidationError unless *body* keeps to every documented limit."""
    found = _Problems()
    found.text("name", body.name, 255)
    found.text("productId", body.product_id, 255, least=1)
    if body.kind is not InstanceKind.CPU:
        _machine(found, body)
    found.text("imageUrl", body.image_url, 500, least=1)
    found.text(
        "imageAuth", body.image_auth.reveal() if body.image_auth else None, 10239, secret=True
    )
    found.text("imageAuthId", body.image_auth_id, 255)
    ports = _ports(found, body.ports)
    _envs(found, body.envs or ())
    _tools(found, body.tools or (), ports)
    found.text("command", body.command, 2047)
    found.text("entrypoint", body.entrypoint, 2047)
    _mounts(found, body.network_storages or ())
    found.number("month", body.month, 0)
    found.number("autoRenewMonth", body.auto_renew_month, 1, 12)
    found.done("the create")


def _machine(found: _Problems, body: CreateInstance) -> None:
    if body.gpu_num is None:
        found.add("gpuNum", "is required for a GPU instance")
    if body.rootfs_size is None:
        found.add("rootfsSize", "is required for a GPU instance")
    found.number("gpuNum", body.gpu_num, 1, 8)
    # The cloud raises less than 10 to 10 by itself; nobody should pay for a size they did not ask for.
    found.number("rootfsSize", body.rootfs_size, 10, 6144)


def _ports(found: _Problems, text: str | None) -> int:
    entries = text.split(",") if text else []
    for entry in entries:
        match = _PORT.fullmatch(entry)
        if match is None:
            found.add(
                "ports", "must be port/type separated by commas, type http or tcp", entry[:100]
            )
        else:
            _port_number(found, "ports", int(match[1]))
    return len(entries)


def _port_number(found: _Problems, field: str, port: int) -> None:
    if not 1 <= port <= 65535:
        found.add(field, "a port must be 1 to 65535", port)
    elif port in _RESERVED_PORTS:
        found.add(field, "ports 2222, 2223 and 2224 belong to the platform", port)


def _envs(found: _Problems, envs: Sequence[EnvVar]) -> None:
    found.count("envs", envs, 100)
    for index, env in enumerate(envs):
        found.text(f"envs[{index}].key", env.key, 511, least=1)
        found.text(f"envs[{index}].value", env.value.reveal(), 4095, secret=True)


def _tools(found: _Problems, tools: Sequence[Tool], ports: int) -> None:
    for index, tool in enumerate(tools):
        if tool.port is None:
            continue
        if tool.port.isascii() and tool.port.isdigit() and len(tool.port) <= 5:
            _port_number(found, f"tools[{index}].port", int(tool.port))
        else:
            found.add(f"tools[{index}].port", "must be a port number as text", tool.port[:100])
    if ports + len(tools) > _MOST_PORTS:
        found.add(
            "ports", f"ports and tools together must be at most {_MOST_PORTS}", ports + len(tools)
        )


def _mounts(found: _Problems, mounts: Iterable[NetworkMount]) -> None:
    mounts = tuple(mounts)
    found.count("networkStorages", mounts, 30)
    for index, mount in enumerate(mounts):
        found.text(f"networkStorages[{index}].mountPoint", mount.mount_point, 4095, least=1)


def check_id(field: str, value: str) -> None:
    """Raise ValidationError unless *value* can be an id: text of 1 to 255 characters."""
    found = _Problems()
    found.text(field, value, 255, least=1)
    found.done("the request")


def check_instance_query(query: InstanceQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = _Problems()
    found.number("pageSize", query.page_size, 0)
    found.number("pageNum", query.page_num, 0)
    found.text("name", query.name, 255)
    found.text("productName", query.product_name, 255)
    found.done("the listing")


def check_product_query(query: ProductQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = _Problems()
    found.number("gpuNum", query.gpu_num, 0, 8)
    for name, value in (
        ("minCpuPerGpu", query.min_cpu_per_gpu),
        ("minMemoryPerGpu", query.min_memory_per_gpu),
        ("minRootFSSize", query.min_root_fs_size),
    ):
        found.number(name, value, 0)
    found.done("the listing")


def check_template_query(query: TemplateQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = _Problems()
    found.number("pageSize", query.page_size, 1)
    found.number("pageNum", query.page_num, 1)
    found.done("the listing")
