"""The request to create an instance."""

from collections.abc import Mapping

import attrs

from ._base import OFF_WIRE, Json, Model, extra_field
from ._enums import BillingMode, TemplateId
from ._rules import DEFAULT_REGIONS, as_regions, create_rules, default_region, uphold
from ._shown import repr_of_url


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CreateInstanceRequest(Model):
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
    """1 to 200 characters, not all of them blanks, such as ``RTX 4090 24GB``."""

    template_id: TemplateId
    """A text of 1 to 255 characters, not all of them blanks, or a positive integer; its kind is kept."""

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
