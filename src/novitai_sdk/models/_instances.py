"""Instances, as the service contract tells of them.

Times are aware UTC datetimes, written as ISO-8601 with milliseconds and ``Z``.
"""

from collections.abc import Mapping
from datetime import datetime
from html import escape

import attrs

from ._base import Json, Secret, extra_field
from ._enums import BillingMode, InstanceStatus

__all__ = [
    "Configuration",
    "ConnectionDetails",
    "ConnectionInfo",
    "CreateInstanceResponse",
    "EnvVar",
    "InstanceDetails",
    "InstanceResponse",
    "InstanceState",
    "ListInstancesResponse",
    "Port",
    "PortMapping",
    "Timestamps",
]

TemplateId = str | int | float
"""Texts and numbers are both in use; each stays what it was."""


@attrs.frozen(kw_only=True)
class PortMapping:
    """A port of the container, and where it is reached."""

    port: int
    endpoint: str
    """A URL for http, ``host:port`` for tcp. Read it, never build it."""

    type: str
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class ConnectionDetails:
    """How to reach a running instance. Passwords are not among them."""

    ssh: str | None = None
    """A command, such as ``ssh -p 40022 root@host``."""

    jupyter: str | None = None
    """A URL."""

    web_terminal: str | None = None
    """A URL."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class Port:
    """A port to be opened."""

    port: int
    type: str
    """``tcp``, ``udp``, ``http`` or ``https``."""

    name: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class EnvVar:
    """An environment variable; its value is masked, for it is often a credential."""

    key: str = attrs.field(metadata={"also": ("name",)})
    value: Secret = attrs.field(converter=Secret)
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class Configuration:
    """What an instance was asked to be."""

    gpu_num: int
    rootfs_size: int
    """GB."""

    region: str
    image_url: str
    image_auth: str | None = None
    """Id of a registry credential."""

    ports: tuple[Port, ...] = ()
    envs: tuple[EnvVar, ...] = ()
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class Timestamps:
    """When an instance came to each point of its life."""

    created: datetime
    started: datetime | None = None
    ready: datetime | None = None
    failed: datetime | None = None
    stopping: datetime | None = None
    stopped: datetime | None = None
    terminated: datetime | None = None
    last_used: datetime | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class InstanceState:
    """What is kept of an instance."""

    id: str
    name: str
    status: InstanceStatus
    product_id: str
    template_id: str | int | float
    configuration: Configuration
    timestamps: Timestamps
    novita_instance_id: str | None = None
    """The cloud's own id, once the machine exists."""

    webhook_url: str | None = None
    last_error: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class ConnectionInfo:
    """How the cloud says an instance is reached."""

    ssh: str | None = None
    jupyter: str | None = None
    web_terminal: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class InstanceResponse:
    """An instance as the cloud reported it, in the words of the contract."""

    id: str
    name: str
    status: InstanceStatus
    product_id: str
    region: str
    gpu_num: int
    rootfs_size: int
    """GB."""

    billing_mode: BillingMode
    created_at: datetime
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    connection_info: ConnectionInfo | None = None
    port_mappings: tuple[PortMapping, ...] | None = None
    last_started_at: datetime | None = None
    last_stopped_at: datetime | None = None
    cluster_id: str | None = None
    cluster_name: str | None = None
    product_name: str | None = None
    template_id: str | int | float | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class InstanceDetails:
    """One instance, as it is shown."""

    id: str
    """The id this library gave it, or the cloud's own for one it has no record of."""

    name: str
    status: InstanceStatus
    gpu_num: int
    region: str
    port_mappings: tuple[PortMapping, ...]
    """Empty until the cloud supplies them."""

    created_at: datetime
    connection_details: ConnectionDetails | None = None
    ready_at: datetime | None = None
    """When it was first seen running."""

    last_used_at: datetime | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    last_started_at: datetime | None = None
    last_stopped_at: datetime | None = None
    extra: Mapping[str, Json] = extra_field()

    @classmethod
    def from_state(cls, state: InstanceState) -> "InstanceDetails":
        """Return what can be shown of a kept state; how to reach it is the cloud's to say."""
        times = state.timestamps
        return InstanceDetails(
            id=state.id,
            name=state.name,
            status=state.status,
            gpu_num=state.configuration.gpu_num,
            region=state.configuration.region,
            port_mappings=(),
            created_at=times.created,
            ready_at=times.ready,
            last_used_at=times.last_used,
            started_at=times.started,
            stopped_at=times.stopped,
        )

    @classmethod
    def from_response(
        cls, response: InstanceResponse, *, state: InstanceState | None = None
    ) -> "InstanceDetails":
        """Return what can be shown of the cloud's report; *state* keeps its own id, name and times."""
        info = response.connection_info
        seen = InstanceDetails(
            id=response.id,
            name=response.name,
            status=response.status,
            gpu_num=response.gpu_num,
            region=response.region,
            port_mappings=response.port_mappings or (),
            created_at=response.created_at,
            connection_details=None
            if info is None
            else ConnectionDetails(
                ssh=info.ssh, jupyter=info.jupyter, web_terminal=info.web_terminal
            ),
            ready_at=response.started_at,
            started_at=response.started_at,
            stopped_at=response.stopped_at,
            last_started_at=response.last_started_at,
            last_stopped_at=response.last_stopped_at,
        )
        if state is None:
            return seen
        kept = cls.from_state(state)
        return attrs.evolve(
            seen,
            id=kept.id,
            name=kept.name,
            region=kept.region,
            created_at=kept.created_at,
            ready_at=kept.ready_at,
            last_used_at=kept.last_used_at,
        )

    def to_state(self, state: InstanceState) -> InstanceState:
        """Return *state* brought up to date by what is shown here."""
        times = attrs.evolve(
            state.timestamps,
            ready=self.ready_at or state.timestamps.ready,
            started=self.started_at or state.timestamps.started,
            stopped=self.stopped_at or state.timestamps.stopped,
            last_used=self.last_used_at or state.timestamps.last_used,
        )
        return attrs.evolve(state, name=self.name, status=self.status, timestamps=times)

    def _repr_html_(self) -> str:
        """Show it as a table, for notebooks."""
        ways = self.connection_details
        rows = [
            ("id", self.id),
            ("name", self.name),
            ("status", self.status),
            ("GPUs", self.gpu_num),
            ("region", self.region),
            ("created", self.created_at.isoformat(timespec="seconds")),
            ("ready", self.ready_at.isoformat(timespec="seconds") if self.ready_at else None),
            ("ssh", ways.ssh if ways else None),
            *((f"port {one.port}/{one.type}", one.endpoint) for one in self.port_mappings),
        ]
        cells = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
            for name, value in rows
            if value is not None
        )
        return f"<table>{cells}</table>"


@attrs.frozen(kw_only=True)
class ListInstancesResponse:
    """A list of instances."""

    instances: tuple[InstanceDetails, ...]
    total: int
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class CreateInstanceResponse:
    """The answer to a create: it has begun."""

    instance_id: str
    status: InstanceStatus
    message: str
    estimated_ready_time: datetime | None = None
    novita_instance_id: str | None = None
    product_id: str | None = None
    region: str | None = None
    spot_price: float | None = None
    extra: Mapping[str, Json] = extra_field()
