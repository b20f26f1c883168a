"""Where the cloud does otherwise than its documents say, or where both have been seen: one switch each."""

from typing import Literal, get_args

import attrs

__all__ = ["Quirks"]


@attrs.frozen(kw_only=True)
class Quirks:
    """Habits of the emulated cloud. Every default is what has been observed.

    Raises ValueError for a setting that a habit does not have.
    """

    prices_as_text: bool = True
    """Prices are texts; documented as numbers."""

    counts_as_text: bool = True
    """``cpuNum``, ``memory`` and ``gpuNum`` of an instance are texts, as documented; otherwise numbers."""

    blank_enums: bool = True
    """``spotStatus`` of an instance that is not spot, and ``billingMode`` of one whose create named none, are ``""``.

    Otherwise the first is left out, and the second is ``onDemand``.
    """

    product_regions: Literal["names", "codes"] = "names"
    """What the regions of a product are: names of clusters as they are, or, as they once were, without the place."""

    kind_may_be_left_out: bool = True
    """A create without ``kind`` is taken for one of a GPU instance; documented as required."""

    starts_pending: bool = True
    """A new instance is ``pending`` before ``toCreate``; not documented."""

    actions_answer: bool = True
    """Start and stop answer ``{instanceId, state}``; documented to answer nothing."""

    wrapped_cpu_products: bool = True
    """``/cpu/products`` is ``{data: [...]}``; documented as a bare list."""

    total_as_text: bool = False
    """``total`` is a text."""

    page_zero_is_page_one: bool = True
    """Pages 0 and 1 of instances, jobs and networks are the same page; otherwise they follow each other."""

    unknown_instance: Literal["404", "400", "empty"] = "404"
    """How an unknown instance is answered: 404, 400 with ``not fount``, or (on reads) 200 with ``{}``."""

    unknown_thing: Literal["400", "404", "fount"] = "400"
    """How what is not there is answered of all else: 400 with ``not found``, 404, or 400 with ``not fount``."""

    wrong_state_in: Literal["message", "reason"] = "message"
    """Where a refusal for the state of a thing says so: ``invalid state change``, or ``CONFLICT`` and no word of it."""

    env_values: Literal["shown", "masked", "hidden"] = "shown"
    """Whether records show the values of environment variables, stars in their place, or no variables."""

    failures_stay: bool = False
    """``statusError`` of an instance that failed stays when it is started again; running ones were seen without."""

    removed_lingers: bool = True
    """A deleted instance is found as ``removed`` for a while; otherwise it is gone at once."""

    lists_are_lean: bool = True
    """Listed instances lack the ``connectComponent*`` fields and the endpoints of their ports."""

    migrated_runs: bool = False
    """An instance that was moved is started; otherwise it is stopped, as it was. Neither is documented."""

    job_errors_as_message: bool = False
    """The text of a job's error is in ``message``; documented as ``errorMessage``."""

    metrics_elsewhere: bool = False
    """Metrics are below ``/openapi/v1``, as some say; documented below the prefix of all other operations."""

    networks_in_lists: bool = True
    """``network`` of one network, and its ``state``, are lists of one, as documented; otherwise objects."""

    network_create_tells: bool = True
    """The create of a network answers the network; otherwise an empty list."""

    storage_create_tells_all: bool = False
    """The create of a network storage answers the storage; documented as its id, a bare text."""

    node_in_list: bool = False
    """``node`` of an instance is a list of one, as documented; observed as an object."""

    volume_sizes_mixed: bool = True
    """Sizes of mounted volumes are texts in lists and numbers in the record of one instance; otherwise numbers."""

    template_filters_required: bool = False
    """A list of templates wants ``channel`` and ``isMyCommunity``, as documented; observed to do without."""

    new_templates_listed_late: bool = True
    """A new template can be read at once and is missing from the list for a while."""

    template_times_elsewhere: bool = False
    """The time of a template is ``createTime``, a date; documented as ``createdAt``, seconds as a text."""

    registry_save_says_nothing: bool = False
    """The save of a registry credential answers no body; otherwise ``{}``. Neither has its id."""

    passwords_masked: bool = False
    """Passwords of registry credentials are listed as stars, as some say; documented as they are."""

    endpoint_deleted_by_id: bool = True
    """The delete of an endpoint takes ``id`` as well; documented as ``name``, whose value is the id."""

    endpoint_wrapped: bool = False
    """The record of one serverless endpoint is inside an ``endpoint``; documented flat."""

    first_prewarm_fails: bool = False
    """The first create of a prewarm task is answered with a 500, as it was seen once."""

    no_stock_in: Literal["reason", "code", "message"] = "reason"
    """Where a refusal for want of machines says so."""

    def __attrs_post_init__(self) -> None:
        # A word that no answer asks for would leave the habit as it is, and a test that is meant to try it would pass.
        for field in attrs.fields(type(self)):
            settings, given = get_args(field.type) or (True, False), getattr(self, field.name)
            if given not in settings:
                expected = " or ".join(map(repr, settings))
                raise ValueError(f"{field.name} is {given!r}: {expected} is expected")
