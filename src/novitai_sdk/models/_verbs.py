"""The other requests of the service contract (start, stop, delete, last used, list), their rules and answers.

As with a create, a request that exists is valid: making one raises ValidationError with every problem at once.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, cast

import attrs

from ._base import Json, Model, extra_field
from ._enums import InstanceStatus
from ._rules import (
    ABSENT,
    ID,
    WEBHOOK_URL,
    Checked,
    Rule,
    examine,
    one_of,
    ranged,
    text,
    uphold,
    whole,
    wrong,
)
from ._shown import repr_of_url

# Numbers above this are not the same in every reader of JSON.
_SAFE: Final = 2**53 - 1

_TARGET_PORT: Final = Rule(
    "target_port", "targetPort", ranged("Target port", 1, 65535), default=ABSENT
)

HEALTH_CHECK_RULES: Final = (
    Rule(
        "timeout_ms",
        "timeoutMs",
        ranged("Health check timeout", 1000, 300_000, unit="ms", notes=("", " (5 minutes)")),
        default=30_000,
    ),
    Rule("retry_attempts", "retryAttempts", ranged("Retry attempts", 0, 10), default=3),
    Rule(
        "retry_delay_ms",
        "retryDelayMs",
        ranged("Retry delay", 100, 30_000, unit="ms"),
        default=2000,
    ),
    Rule(
        "max_wait_time_ms",
        "maxWaitTimeMs",
        ranged(
            "Max wait time", 30_000, 1_800_000, unit="ms", notes=(" (30 seconds)", " (30 minutes)")
        ),
        default=600_000,
    ),
    _TARGET_PORT,
)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class HealthCheckConfig(Model):
    """How the endpoints of a machine are probed. Times are milliseconds."""

    timeout_ms: int = 30_000
    """Milliseconds one probe may take, 1000 to 300000."""

    retry_attempts: int = 3
    """0 to 10."""

    retry_delay_ms: int = 2000
    """Milliseconds between probes, 100 to 30000."""

    max_wait_time_ms: int = 600_000
    """Milliseconds until the machine counts as not healthy, 30000 to 1800000."""

    target_port: int | None = None
    """The one port to probe; None probes all."""

    extra: Mapping[str, Json] = extra_field()

    def __attrs_post_init__(self) -> None:
        uphold(self, HEALTH_CHECK_RULES)


def _health_check(field: str, value: object) -> Checked:
    if isinstance(value, HealthCheckConfig):
        return Checked(value)
    if not isinstance(value, Mapping):
        return wrong(field, value, f'"{field}" must be of type object')
    found = examine(HEALTH_CHECK_RULES, cast("Mapping[str, object]", value))
    if found.details:
        inside = (attrs.evolve(one, field=f"{field}.{one.field}") for one in found.details)
        return Checked(None, tuple(inside))
    return Checked(HealthCheckConfig(**cast("dict[str, Any]", found.values)))


_DATE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)


def _moment(field: str, value: object) -> Checked:
    moment = _as_moment(value)
    if moment is None:
        return wrong(field, value, "Last used time must be a valid ISO date string")
    return Checked(moment.replace(microsecond=moment.microsecond // 1000 * 1000))


def _as_moment(value: object) -> datetime | None:
    """Return a time in UTC. A text without a zone is taken as UTC: the server's zone means nothing to a caller."""
    try:
        if isinstance(value, datetime):
            return value.astimezone(timezone.utc) if value.tzinfo else None
        found = _DATE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            return None
        year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
        local = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")[:6]),
            tzinfo=timezone.utc,
        )
        if int(hours or 0) > 23 or int(minutes or 0) > 59:
            return None
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):  # a 30th of February, a year 0 or 10000
        return None


_INSTANCE_NAME: Final = Rule(
    "instance_name",
    "instanceName",
    text(100, subject="Instance name", pattern=ID),
    default=ABSENT,
)

STOP_RULES: Final = (_INSTANCE_NAME, WEBHOOK_URL)
DELETE_RULES: Final = STOP_RULES
START_RULES: Final = (
    _INSTANCE_NAME,
    Rule("health_check_config", "healthCheckConfig", _health_check, default=ABSENT),
    _TARGET_PORT,
    WEBHOOK_URL,
)
LAST_USED_RULES: Final = (Rule("last_used_at", "lastUsedAt", _moment, default=ABSENT),)
LIST_RULES: Final = (
    Rule(
        "page",
        "page",
        whole(
            1,
            _SAFE,
            not_whole='"page" must be an integer',
            too_small='"page" must be greater than or equal to 1',
            too_big='"page" must be a safe number',
        ),
        default=1,
    ),
    Rule(
        "page_size",
        "pageSize",
        whole(
            1,
            100,
            not_whole='"pageSize" must be an integer',
            too_small='"pageSize" must be greater than or equal to 1',
            too_big='"pageSize" must be less than or equal to 100',
        ),
        default=20,
    ),
    Rule(
        "status",
        "status",
        one_of(
            ("creating", "starting", "running", "failed", "stopped"),
            '"status" must be one of [creating, starting, running, failed, stopped]',
            InstanceStatus,
        ),
        default=ABSENT,
    ),
)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class StartInstanceRequest(Model):
    """How to start an instance."""

    instance_name: str | None = None
    """Which one, where it is not named by its id: 1 to 100 letters, digits, ``-`` and ``_``."""

    health_check_config: HealthCheckConfig | None = None
    """How its endpoints are probed; None leaves that to the service."""

    target_port: int | None = None
    """The one port to probe, 1 to 65535; None probes all."""

    webhook_url: str | None = attrs.field(default=None, repr=repr_of_url)
    """An http or https URL that is told what becomes of it."""

    extra: Mapping[str, Json] = extra_field()

    def __attrs_post_init__(self) -> None:
        uphold(self, START_RULES)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class StartInstanceResponse(Model):
    """The answer to a start."""

    instance_id: str

    novita_instance_id: str
    """The cloud's id of the machine."""

    status: InstanceStatus
    message: str
    operation_id: str

    estimated_ready_time: datetime | None = None
    """When it should run, in UTC; a guess."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class StopInstanceRequest(Model):
    """How to stop an instance."""

    instance_name: str | None = None
    """Which one, where it is not named by its id: 1 to 100 letters, digits, ``-`` and ``_``."""

    webhook_url: str | None = attrs.field(default=None, repr=repr_of_url)
    """An http or https URL that is told when it has stopped."""

    extra: Mapping[str, Json] = extra_field()

    def __attrs_post_init__(self) -> None:
        uphold(self, STOP_RULES)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class StopInstanceResponse(Model):
    """The answer to a stop."""

    instance_id: str

    novita_instance_id: str
    """The cloud's id of the machine."""

    status: InstanceStatus
    """Stopped, or stopping."""

    message: str
    operation_id: str
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class DeleteInstanceRequest(Model):
    """How to delete an instance."""

    instance_name: str | None = None
    """Which one, where it is not named by its id: 1 to 100 letters, digits, ``-`` and ``_``."""

    webhook_url: str | None = attrs.field(default=None, repr=repr_of_url)
    """An http or https URL that is told when it is gone."""

    extra: Mapping[str, Json] = extra_field()

    def __attrs_post_init__(self) -> None:
        uphold(self, DELETE_RULES)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class DeleteInstanceResponse(Model):
    """The answer to a delete."""

    instance_id: str

    novita_instance_id: str | None = None
    """The cloud's id of the machine, if there was one."""

    status: str
    """``deleted``."""

    message: str
    operation_id: str
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UpdateLastUsedTimeRequest(Model):
    """When an instance was last used."""

    last_used_at: datetime | None = None
    """In UTC, whole milliseconds; None means now."""

    extra: Mapping[str, Json] = extra_field()

    def __attrs_post_init__(self) -> None:
        uphold(self, LAST_USED_RULES)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UpdateLastUsedTimeResponse(Model):
    """The answer to that."""

    instance_id: str
    last_used_at: datetime
    message: str
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ListInstancesQuery(Model):
    """Which instances to list."""

    page: int = 1
    """From 1."""

    page_size: int = 20
    """1 to 100."""

    status: InstanceStatus | None = None
    """Only those that are creating, starting, running, failed or stopped."""

    extra: Mapping[str, Json] = extra_field()

    def __attrs_post_init__(self) -> None:
        uphold(self, LIST_RULES)
