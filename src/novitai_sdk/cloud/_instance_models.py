"""The GPU or CPU instance as the cloud sees it: what creates it, what is read back.

Numbers arrive as texts, times as seconds since 1970 in a text, and an empty text means nothing; the cloud's
converter undoes all three. Every field of an answer but the id may be absent.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar

import attrs

from ..models._base import Json, Model, Secret, extra_field, wire
from ..models._shown import repr_of_url
from ._refusals import short
from ._reported import AN_ID, Reported
from ._words import BillingMethod, CloudStatus, InstanceKind, Phase, PortType, SpotStatus

__all__ = [
    "CreateInstance",
    "Created",
    "EnvVar",
    "Instance",
    "InstanceJob",
    "InstanceList",
    "InstanceQuery",
    "InstanceRef",
    "Jupyter",
    "LogStreams",
    "NetworkMount",
    "NetworkPlace",
    "Port",
    "PortMapping",
    "Ssh",
    "StatusError",
    "Tool",
    "VolumeMount",
    "WebTerminal",
    "join_ports",
]


# -- what is sent ------------------------------------------------------------------------------


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EnvVar(Model):
    """An environment variable of a container. The value is masked: it is often a credential."""

    key: str
    """1 to 511 characters."""

    value: Secret = attrs.field(default=Secret(""), converter=Secret)
    """Up to 4095 characters."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Port(Model):
    """A port of a container to be reached from outside.

    >>> str(Port(port=8888))
    '8888/http'
    """

    port: int
    """1 to 65535 without 2222, 2223 and 2224, which the platform keeps for itself."""

    type: PortType = PortType.HTTP

    def __str__(self) -> str:
        return f"{self.port}/{self.type}"


def join_ports(ports: Iterable[Port]) -> str:
    """Write ports as :attr:`CreateInstance.ports` takes them.

    >>> join_ports([Port(port=8888), Port(port=22, type=PortType.TCP)])
    '8888/http,22/tcp'
    """
    return ",".join(str(port) for port in ports)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Tool(Model):
    """A tool the platform adds to a container; only ``Jupyter`` is known."""

    name: str
    port: str | None = None
    """A port number. The cloud takes and gives it as text here."""

    type: PortType | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkMount(Model):
    """A network storage to mount in the container."""

    id: str = attrs.field(metadata=wire("Id"))
    mount_point: str | None = None
    """Path in the container, 1 to 4095 characters; the cloud's default is ``/network``."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CreateInstance(Model):
    """The body of a create: one machine, billed from the moment its image is pulled.

    The limits are those the cloud documents; ``client.cloud.instances.create`` checks them before it sends anything.
    """

    product_id: str
    """From ``cloud.products``; 1 to 255 characters."""

    image_url: str = attrs.field(repr=repr_of_url)
    """1 to 500 characters."""

    name: str | None = None
    """Up to 255 characters. The cloud does not ask for unique names."""

    kind: InstanceKind = InstanceKind.GPU

    gpu_num: int | None = None
    """1 to 8; required for a GPU machine."""

    rootfs_size: int | None = None
    """Root disk in GB, 10 to 6144 and within the product's own limits; required for a GPU machine."""

    image_auth: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(Secret)
    )
    """``user:password`` of the image's registry, up to 10239 characters."""

    image_auth_id: str | None = None
    """Id of a credential from ``cloud.registries``; up to 255 characters."""

    ports: str | None = None
    """``port/type`` separated by commas, see :func:`join_ports`; at most 15 together with the tools."""

    envs: tuple[EnvVar, ...] | None = None
    """At most 100."""

    tools: tuple[Tool, ...] | None = None

    command: str | None = None
    """Replaces the image's CMD; up to 2047 characters."""

    entrypoint: str | None = None
    """Replaces the image's ENTRYPOINT; up to 2047 characters."""

    cluster_id: str | None = None
    """Id (not name) from ``cloud.clusters``; the platform picks one when absent."""

    network_storages: tuple[NetworkMount, ...] | None = None
    """At most 30."""

    network_id: str | None = None
    """A VPC network in the same cluster."""

    billing_mode: BillingMethod | None = None
    """The cloud's default is on demand."""

    month: int | None = None
    """Months to pay up front. Anything above 0 makes the instance monthly, whatever ``billing_mode`` says."""

    auto_renew: bool | None = None
    auto_renew_month: int | None = None
    """1 to 12 months; monthly instances only."""

    min_cuda_version: str | None = None
    """Such as ``11.8``."""

    local_storage_mount_point: str | None = None
    """CPU machines only; the cloud's default is ``/workspace``."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class InstanceRef(Model):
    """Names one instance in a request."""

    instance_id: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class InstanceQuery(Model):
    """Which instances to list, and which page of them. What is None is not asked for."""

    page_size: int | None = None
    page_num: int | None = None
    """From 0; the cloud may give the same page for 0 and 1."""

    name: str | None = None
    """Part of the name, up to 255 characters."""

    product_name: str | None = None
    """Part of the product's name, up to 255 characters."""

    status: CloudStatus | None = None


# -- what comes back ---------------------------------------------------------------------------


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Created(Model):
    """The answer to a create: the machine's id. Everything else happens later."""

    id: str = attrs.field(metadata={"also": ("instanceId",), **AN_ID})
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class StatusError(Model):
    """Why an instance failed; both texts are empty while it has not."""

    state: str = ""
    message: str = ""
    extra: Mapping[str, Json] = extra_field()

    def __bool__(self) -> bool:
        return bool(self.state or self.message)

    def __str__(self) -> str:
        # Goes into errors, logs and webhooks: what made it up may be what the machine ran.
        return short(": ".join(text for text in (self.state, self.message) if text))


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PortMapping(Reported):
    """A port of the container and where it is reached. Lists leave the endpoint out."""

    port: int | None = None
    endpoint: str | None = attrs.field(default=None, repr=repr_of_url)
    """A URL for http, ``host:port`` for tcp (the outer port differs). Read it, never build it."""

    type: PortType | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class VolumeMount(Reported):
    """A disk in the container."""

    type: str | None = None
    """``network`` or ``local``."""

    size: int | None = None
    """GB."""

    id: str | None = None
    mount_path: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkPlace(Reported):
    """The instance's address in its VPC network; empty texts when it is in none."""

    id: str = ""
    ip: str = ""
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class InstanceJob(Reported):
    """A job the cloud is running on the instance."""

    id: str | None = attrs.field(default=None, metadata={"also": ("Id",)})
    type: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Ssh(Reported):
    """How to log in. Host and port are in the command."""

    ssh_command: str | None = attrs.field(default=None, repr=repr_of_url)
    password: Secret | None = None
    is_running: bool | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WebTerminal(Reported):
    """A shell in the browser, usable while ``is_running``."""

    address: str | None = attrs.field(default=None, repr=repr_of_url)
    """May carry a token, which ``repr`` leaves out."""

    username: str | None = None
    password: Secret | None = None
    is_running: bool | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Jupyter(Reported):
    """A notebook server, usable while ``is_running``. The address may carry a token, so it is masked."""

    port: int | None = None
    address: Secret | None = None
    is_running: bool | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class LogStreams(Reported):
    """Where the logs are streamed over HTTP."""

    system_log_address: str | None = attrs.field(default=None, repr=repr_of_url)
    instance_log_address: str | None = attrs.field(default=None, repr=repr_of_url)
    is_running: bool | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Instance(Reported):
    """An instance as the cloud reports it.

    A list leaves out the ``connect_component_*`` fields and the endpoints of the ports; ``get`` has them. A field the
    cloud writes in a way this version cannot read is left out as well, and kept in ``extra`` as it came.
    """

    # One odd size must not keep anybody from finding and deleting a machine. What these say decides over money: whose
    # machine it is, and whether it bills.
    must_fit: ClassVar[tuple[str, ...]] = ("name", "status", "status_error", "envs")

    id: str = attrs.field(metadata=AN_ID)
    name: str | None = None
    status: CloudStatus | None = None
    status_error: StatusError | None = None
    cluster_id: str | None = None
    cluster_name: str | None = None
    kind: InstanceKind | None = None
    product_id: str | None = None
    product_name: str | None = None
    gpu_num: int | None = None
    cpu_num: int | None = None
    memory: int | None = None
    """GB."""

    rootfs_size: int | None = None
    """GB."""

    image_url: str | None = attrs.field(default=None, repr=repr_of_url)
    image_auth_id: str | None = None
    command: str | None = None
    entrypoint: str | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    envs: tuple[EnvVar, ...] = ()
    tools: tuple[Tool, ...] = ()
    billing_mode: BillingMethod | None = None
    end_time: datetime | None = None
    """When a monthly instance expires; None for pay as you go."""

    spot_status: SpotStatus | None = None
    """None for an instance that is not spot."""

    spot_reclaim_time: datetime | None = None
    """When the cloud will take it back; None while nothing is planned."""

    network: NetworkPlace | None = None
    node: Json = None
    """``{maxRootfsSize}`` in practice, documented as a list; kept as it came."""

    free_storage_size: int | None = None
    """GB."""

    keep_data_day: int | None = None
    """Days the data of a stopped instance is kept."""

    jobs: tuple[InstanceJob, ...] = ()
    connect_component_ssh: Ssh | None = attrs.field(
        default=None, metadata=wire("connectComponentSSH")
    )
    connect_component_web_terminal: WebTerminal | None = None
    connect_component_jupyter: Jupyter | None = None
    connect_component_log: LogStreams | None = None
    created_at: datetime | None = None
    ssh_command: str | None = attrs.field(default=None, repr=repr_of_url)
    """Not documented; ``connect_component_ssh`` is the place to look."""

    ssh_password: Secret | None = None
    """Not documented; ``connect_component_ssh`` is the place to look."""

    extra: Mapping[str, Json] = extra_field()

    @property
    def failed(self) -> bool:
        """Whether the cloud reports a failure; the cloud has no status for it."""
        return bool(self.status_error)

    @property
    def failure(self) -> str | None:
        """Why it failed, or None.

        >>> Instance(id="i", status_error=StatusError(state="", message="")).failure is None
        True
        >>> Instance(id="i", status_error=StatusError(state="pullFailed", message="no such image")).failure
        'pullFailed: no such image'
        """
        return str(self.status_error) if self.status_error else None

    @property
    def reclaimed(self) -> bool:
        """Whether it is a spot instance that the cloud has taken back, and that was not started since."""
        stopped = self.status is not None and self.status.phase is Phase.STOPPED
        return stopped and self.spot_status is SpotStatus.TERMINATED

    def env(self, key: str) -> Secret | None:
        """Return the value of an environment variable, or None."""
        return next((one.value for one in self.envs if one.key == key), None)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class InstanceList(Model):
    """One page of instances."""

    instances: tuple[Instance, ...] | None
    """Must be in the answer, but may be null: ``{}`` is not an empty list, it is not a list."""

    total: int | None = None
    """How many there are on all pages."""

    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[Instance, ...]:
        """The instances of this page."""
        return self.instances or ()
