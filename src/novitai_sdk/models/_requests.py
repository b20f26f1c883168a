"""The request to create an instance: ours, the answer to it, and what the cloud is asked in turn."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ._base import OFF_WIRE, Json, JsonObject, Secret, extra_field
from ._enums import BillingMode, InstanceStatus, TemplateId
from ._instances import EnvVar, Port
from ._rules import DEFAULT_REGIONS, as_regions, create_rules, default_region, uphold
from ._shown import repr_of_url


@attrs.frozen(kw_only=True)
class CreateInstanceRequest:
    """What to rent. A request that exists is valid.

    Raises ValidationError with every problem at once. A numeric text stands for its number in ``gpu_num`` and
    ``rootfs_size``; None stands for nothing in ``webhook_url``.

    >>> CreateInstanceRequest(name="bad name!", product_name="RTX 4090 24GB", template_id="t-1", gpu_num=10)
    Traceback (most recent call last):
    ...
    novitai_sdk.errors.ValidationError: Validation failed
      name: Name must contain only alphanumeric characters, hyphens, and underscores
      gpuNum: GPU number must be at most 8
    """

    regions: tuple[str, ...] = attrs.field(
        default=DEFAULT_REGIONS, converter=as_regions, eq=False, repr=False, metadata=OFF_WIRE
    )
    """The regions this request may name. Never sent."""

    name: str
    """1 to 100 letters, digits, ``-`` and ``_``. Need not be unique."""

    product_name: str
    """1 to 200 characters, such as ``RTX 4090 24GB``."""

    template_id: TemplateId
    """A text of 1 to 255 characters, or a number; its kind is kept."""

    gpu_num: int = 1
    """1 to 8."""

    rootfs_size: int = 60
    """GB, 20 to 1000."""

    region: str = attrs.field(
        default=attrs.Factory(lambda self: default_region(self.regions), takes_self=True)
    )
    """One of ``regions``; unless given ``CN-HK-01``, or the first of them where that is not among them."""

    webhook_url: str | None = attrs.field(default=None, repr=repr_of_url)
    """An http or https URL that is told what becomes of the instance. ``repr`` leaves out credentials in it."""

    billing_mode: BillingMode = BillingMode.SPOT
    """``spot`` or ``onDemand``."""

    extra: Mapping[str, Json] = extra_field()

    def __attrs_post_init__(self) -> None:
        uphold(self, create_rules(self.regions))


@attrs.frozen(kw_only=True)
class CreateInstanceResponse:
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


@attrs.frozen(kw_only=True)
class NovitaCreateInstanceRequest:
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
    image_url: str

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
