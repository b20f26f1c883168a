"""Instances as they are kept, and as the cloud reported them.

Times are aware and UTC.
"""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ._base import Json, JsonObject, Model, Secret, extra_field
from ._enums import BillingMode, InstanceStatus, TemplateId
from ._instances import ConnectionDetails, InstanceDetails, PortMapping
from ._shown import repr_of_json, repr_of_url


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Port(Model):
    """A port a machine opens."""

    port: int

    type: str
    """``tcp``, ``udp``, ``http`` or ``https``."""

    name: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EnvVar(Model):
    """An environment variable of a machine. Older records call the key ``name``.

    >>> EnvVar(key="HF_TOKEN", value="hf_abc")
    EnvVar(key='HF_TOKEN', value=Secret('***'))
    """

    key: str = attrs.field(metadata={"also": ("name",)})

    value: Secret = attrs.field(converter=Secret)
    """Masked, since tokens travel this way; a plain text is taken as well."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Configuration(Model):
    """What an instance was made of."""

    gpu_num: int

    rootfs_size: int
    """GB."""

    region: str
    image_url: str = attrs.field(repr=repr_of_url)

    image_auth: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(Secret)
    )
    """The registry credential, or its id."""

    ports: tuple[Port, ...] = ()
    envs: tuple[EnvVar, ...] = ()
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Timestamps(Model):
    """When an instance came to each station of its life; None where it has not been."""

    created: datetime
    started: datetime | None = None
    ready: datetime | None = None
    failed: datetime | None = None
    stopping: datetime | None = None
    stopped: datetime | None = None
    terminated: datetime | None = None
    last_used: datetime | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class InstanceState(Model):
    """An instance as it is kept."""

    id: str
    """The id this library gave it."""

    name: str
    status: InstanceStatus

    novita_instance_id: str | None = None
    """The cloud's id of the machine, once there is one."""

    product_id: str
    template_id: TemplateId
    configuration: Configuration
    timestamps: Timestamps
    webhook_url: str | None = attrs.field(default=None, repr=repr_of_url)

    last_error: str | None = None
    """Why it failed."""

    health_check: JsonObject | None = attrs.field(default=None, hash=False, repr=repr_of_json)
    """How its endpoints answered, as later versions record it."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class InstanceResponse(Model):
    """An instance as the cloud reports it, in the service contract's words.

    What later versions add beyond these fields is in ``extra``.
    """

    id: str
    """The cloud's id of the machine."""

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
    last_started_at: datetime | None = None
    last_stopped_at: datetime | None = None
    connection_info: ConnectionDetails | None = None
    port_mappings: tuple[PortMapping, ...] | None = None
    cluster_id: str | None = None
    cluster_name: str | None = None
    product_name: str | None = None
    image_url: str | None = attrs.field(default=None, repr=repr_of_url)
    template_id: TemplateId | None = None
    extra: Mapping[str, Json] = extra_field()

    @classmethod
    def from_details(
        cls, details: InstanceDetails, state: InstanceState, *, billing_mode: BillingMode
    ) -> "InstanceResponse":
        """Return an instance as the cloud would report it; *state* knows product, size and the cloud's id."""
        return cls(
            id=state.novita_instance_id or details.id,
            name=details.name,
            status=details.status,
            product_id=state.product_id,
            region=details.region,
            gpu_num=details.gpu_num,
            rootfs_size=state.configuration.rootfs_size,
            billing_mode=billing_mode,
            created_at=details.created_at,
            started_at=details.started_at,
            stopped_at=details.stopped_at,
            last_started_at=details.last_started_at,
            last_stopped_at=details.last_stopped_at,
            connection_info=details.connection_details,
            port_mappings=details.port_mappings,
            image_url=state.configuration.image_url,
            template_id=state.template_id,
        )


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ListInstancesResponse(Model):
    """A list of instances."""

    instances: tuple[InstanceDetails, ...]

    total: int
    """How many there are in all."""

    extra: Mapping[str, Json] = extra_field()
