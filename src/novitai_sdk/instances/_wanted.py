"""What is to be rented: checked, and put down as the record it begins with."""

import secrets
from typing import Any, Final, TypedDict

import attrs

from .. import cloud, validation
from .._asked import max_wait_problems
from .._convert import camel
from ..errors import ValidationError
from ..models import (
    BillingMode,
    Configuration,
    CreateInstanceRequest,
    InstanceState,
    InstanceStatus,
    Port,
    Timestamps,
)
from ..models._rules import FAILED, https_address, receiver_address
from ..settings import Settings
from ._catalog import Choice
from ._records import OWN_ID, Managed, at

__all__ = ["CreateOptions", "checked", "new_instance_id", "planned"]

_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class CreateOptions(TypedDict, total=False):
    """What to rent; see ``instances.create``."""

    name: str
    product_name: str
    template_id: str | int | float
    gpu_num: int | str
    rootfs_size: int | str
    region: str
    webhook_url: str
    billing_mode: BillingMode | str


def new_instance_id(now: float) -> str:
    """Return a fresh instance id; *now* is seconds since 1970."""
    return f"{OWN_ID}{int(now * 1000)}_{''.join(secrets.choice(_ALPHABET) for _ in range(7))}"


def checked(
    request: object, options: dict[str, Any], max_wait: object, settings: Settings
) -> CreateInstanceRequest:
    """Return what is asked for. Raises ValidationError with every problem, TypeError for what is no request."""
    if request is not None and options:
        raise TypeError("give a CreateInstanceRequest or its fields, not both")
    if request is not None and not isinstance(request, CreateInstanceRequest):
        raise TypeError(
            "instances.create() takes a CreateInstanceRequest, or its fields by name, "
            f"not {type(request).__name__}"
        )
    known = CreateOptions.__annotations__.keys()
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(
            f"instances.create() got unexpected arguments: {', '.join(unknown)}; it takes {', '.join(known)}"
        )
    if request is not None:
        options = {name: getattr(request, name) for name in known}
    given = {camel(name): value for name, value in options.items() if value is not None}
    result = validation.validate_create_instance(given, regions=settings.regions)
    problems = result.error.details if result.error is not None else ()
    if "webhookUrl" in given:
        judge = receiver_address if settings.webhook_allow_http else https_address
        # What is no URL at all is a problem of either rule, and told once.
        found = judge("webhookUrl", given["webhookUrl"]).details
        problems = (*problems, *(one for one in found if one not in problems))
    problems = (*problems, *max_wait_problems(max_wait))
    if result.error is not None or problems:
        raise ValidationError(FAILED, problems)
    if request is not None:
        return attrs.evolve(request, regions=settings.regions)
    return result.value


def planned(
    wanted: CreateInstanceRequest,
    choice: Choice,
    template: cloud.Template,
    *,
    now: float,
    max_wait: float,
) -> Managed:
    """Return the record of a machine that is about to be rented."""
    state = InstanceState(
        id=new_instance_id(now),
        name=wanted.name,
        status=InstanceStatus.CREATING,
        product_id=choice.product.id,
        template_id=wanted.template_id,
        configuration=Configuration(
            gpu_num=wanted.gpu_num,
            rootfs_size=wanted.rootfs_size,
            region=wanted.region,
            image_url=template.image or "",
            # Env values and the credential are read again when they are sent; what is not stored cannot leak.
            ports=tuple(Port(port=one.port, type=one.type.value) for one in template.port_list),
            envs=(),
        ),
        timestamps=Timestamps(created=at(now)),
        webhook_url=wanted.webhook_url,
    )
    return Managed(
        state=state,
        product_name=wanted.product_name,
        cluster_id=choice.region.cluster_id,
        billing_mode=wanted.billing_mode.value,
        hourly_price=choice.hourly_price,
        max_wait=max_wait,
    )
