"""What follows from a request to create an instance: the answer to it, and what the cloud is asked in turn."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ._base import Json, JsonObject, Model, Secret, extra_field
from ._enums import BillingMode, InstanceStatus, TemplateId
from ._requests import CreateInstanceRequest
from ._shown import repr_of_url
from ._state import EnvVar, Port


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CreateInstanceResponse(Model):
    """The answer to a create: what it was called, and when to expect it."""

    instance_id: str
    """The id this library gave the instance."""

    status: InstanceStatus
    message: str

    estimated_ready_time: datetime | None = None
    """When it should run, in UTC; a guess."""

    novita_instance_id: str | None = None
    """The cloud's id of the machine, where it exists already."""

    product_id: str | None = None

    region: str | None = None
    """Where it really is, if that is not where it was asked for."""

    spot_price: float | None = None
    """USD per hour."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NovitaCreateInstanceRequest(Model):
    """What the service asks of the cloud to create an instance, derived from what it was asked itself.

    Early versions named a template and a region; later ones a kind, a cluster, tools and storages instead. A field of
    the other shape is None. (What this library sends is `novitai_sdk.cloud.CreateInstance`.)
    """

    name: str
    product_id: str
    template_id: TemplateId | None = None
    gpu_num: int

    rootfs_size: int
    """GB."""

    region: str | None = None
    billing_mode: BillingMode | None = None
    image_url: str = attrs.field(repr=repr_of_url)

    image_auth: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(Secret)
    )
    """Registry credential, ``user:password`` in later versions."""

    ports: tuple[Port, ...] = ()
    envs: tuple[EnvVar, ...] = ()

    kind: str | None = None
    """``gpu`` or ``cpu``."""

    image_auth_id: str | None = None
    command: str | None = None
    cluster_id: str | None = None
    network_id: str | None = None
    tools: tuple[JsonObject, ...] | None = attrs.field(default=None, hash=False)
    network_storages: tuple[JsonObject, ...] | None = attrs.field(default=None, hash=False)

    month: int | None = None
    """Months of commitment, for monthly billing."""

    extra: Mapping[str, Json] = extra_field()

    @classmethod
    def from_request(
        cls,
        request: CreateInstanceRequest,
        *,
        product_id: str,
        image_url: str,
        image_auth: Secret | None = None,
        ports: tuple[Port, ...] = (),
        envs: tuple[EnvVar, ...] = (),
    ) -> "NovitaCreateInstanceRequest":
        """Return what the cloud is to be asked for *request*: the product chosen for it, and its template's parts."""
        return cls(
            name=request.name,
            product_id=product_id,
            template_id=request.template_id,
            gpu_num=request.gpu_num,
            rootfs_size=request.rootfs_size,
            region=request.region,
            billing_mode=request.billing_mode,
            image_url=image_url,
            image_auth=image_auth,
            ports=ports,
            envs=envs,
        )
