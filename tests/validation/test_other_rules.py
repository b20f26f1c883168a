"""The twins of the create: ids, start, stop, delete, last used, list; and the body that refuses."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk._convert import converter
from novitai_sdk.errors import ValidationError
from novitai_sdk.models import (
    DeleteInstanceRequest,
    HealthCheckConfig,
    InstanceStatus,
    ListInstancesQuery,
    StartInstanceRequest,
    StopInstanceRequest,
    UpdateLastUsedTimeRequest,
    ValidationErrorResponse,
)
from novitai_sdk.validation import (
    Invalid,
    Valid,
    ValidationResult,
    validate_create_instance,
    validate_delete_instance,
    validate_instance_id,
    validate_last_used,
    validate_list_query,
    validate_start_instance,
    validate_stop_instance,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
BODIES: list[Callable[[object], ValidationResult[Any]]] = [
    validate_create_instance,
    validate_start_instance,
    validate_stop_instance,
    validate_delete_instance,
    validate_last_used,
    validate_list_query,
]


def problems(result: ValidationResult[Any]) -> list[tuple[str, str]]:
    return (
        [] if result.error is None else [(one.field, one.message) for one in result.error.details]
    )


# -- instance ids -------------------------------------------------------------------------------

BAD_ID = "Instance ID must contain only alphanumeric characters, hyphens, and underscores"


@pytest.mark.parametrize("value", ["inst_1700000000000_abc1234", "a", "-", "x" * 255])
def test_instance_ids(value: str) -> None:
    assert validate_instance_id(value) == Valid(value)


@pytest.mark.parametrize(
    "value", ["", "a/b", "a b", "a\n", "ü", "../x", "\ud800", None, 5, True, [], {}, b"a"]
)
def test_what_is_no_instance_id(value: object) -> None:
    result = validate_instance_id(value)
    assert result.error is not None
    assert result.error.message == "Invalid instance ID"
    assert problems(result) == [("instanceId", BAD_ID)]
    assert result.value == {}


def test_an_endless_instance_id_is_refused_shortly() -> None:
    result = validate_instance_id("x" * 10_000_000)
    assert problems(result) == [("instanceId", "Instance ID must be at most 255 characters long")]
    assert len(repr(result)) < 2000


# -- start, stop, delete ------------------------------------------------------------------------

NAMED = [validate_start_instance, validate_stop_instance, validate_delete_instance]
INSTANCE_NAME = "Instance name must contain only alphanumeric characters, hyphens, and underscores"
WEBHOOK = "Webhook URL must be a valid HTTP or HTTPS URL"


@pytest.mark.parametrize(
    ("validate", "model"),
    [*zip(NAMED, [StartInstanceRequest, StopInstanceRequest, DeleteInstanceRequest], strict=True)],
)
def test_nothing_is_required_of_start_stop_and_delete(validate: Any, model: Any) -> None:
    assert validate({}) == Valid(model())
    full = {"instanceName": "mine", "webhookUrl": "https://example.com", "surprise": 1}
    made = model(instance_name="mine", webhook_url="https://example.com")
    assert validate(full) == Valid(made)


@pytest.mark.parametrize("validate", NAMED)
def test_names_and_webhooks_have_rules_there_too(validate: Any) -> None:
    both = {"instanceName": "no good", "webhookUrl": "ftp://x"}
    assert problems(validate(both)) == [("instanceName", INSTANCE_NAME), ("webhookUrl", WEBHOOK)]
    empty = problems(validate({"instanceName": ""}))
    assert empty == [("instanceName", '"instanceName" is not allowed to be empty')]
    long = problems(validate({"instanceName": "x" * 101}))
    assert long == [("instanceName", "Instance name must be at most 100 characters long")]
    null = problems(validate({"instanceName": None}))
    assert null == [("instanceName", '"instanceName" must be a string')]


@pytest.mark.parametrize(
    ("port", "message"),
    [
        (0, "Target port must be at least 1"),
        (65536, "Target port must be at most 65535"),
        (1.5, "Target port must be an integer"),
        ("http", "Target port must be an integer"),
        (True, "Target port must be an integer"),
    ],
)
def test_target_ports(port: object, message: str) -> None:
    inside = {"healthCheckConfig": {"targetPort": port}, "targetPort": port}
    assert problems(validate_start_instance(inside)) == [
        ("healthCheckConfig.targetPort", message),
        ("targetPort", message),
    ]
    assert validate_start_instance({"targetPort": "8888"}) == Valid(
        StartInstanceRequest(target_port=8888)
    )


def test_a_health_check_that_is_there_at_all_has_every_default() -> None:
    result = validate_start_instance({"healthCheckConfig": {"unknown": 1}})
    assert result == Valid(StartInstanceRequest(health_check_config=HealthCheckConfig()))
    config = HealthCheckConfig()
    assert (config.timeout_ms, config.retry_attempts, config.retry_delay_ms) == (30000, 3, 2000)
    assert (config.max_wait_time_ms, config.target_port) == (600000, None)


@pytest.mark.parametrize(
    ("member", "low", "too_low", "high", "too_high", "not_whole"),
    [
        (
            "timeoutMs",
            999,
            "Health check timeout must be at least 1000ms",
            300_001,
            "Health check timeout must be at most 300000ms (5 minutes)",
            "Health check timeout must be an integer",
        ),
        (
            "retryAttempts",
            -1,
            "Retry attempts must be at least 0",
            11,
            "Retry attempts must be at most 10",
            "Retry attempts must be an integer",
        ),
        (
            "retryDelayMs",
            99,
            "Retry delay must be at least 100ms",
            30_001,
            "Retry delay must be at most 30000ms",
            "Retry delay must be an integer",
        ),
        (
            "maxWaitTimeMs",
            29_999,
            "Max wait time must be at least 30000ms (30 seconds)",
            1_800_001,
            "Max wait time must be at most 1800000ms (30 minutes)",
            "Max wait time must be an integer",
        ),
    ],
)
def test_health_checks(
    member: str, low: int, too_low: str, high: int, too_high: str, not_whole: str
) -> None:
    for value, message in ((low, too_low), (high, too_high), ("x", not_whole)):
        found = validate_start_instance({"healthCheckConfig": {member: value}})
        assert problems(found) == [(f"healthCheckConfig.{member}", message)]
        assert found.error is not None
        assert found.error.details[0].value == value
    for value in (low + 1, high - 1):
        assert validate_start_instance({"healthCheckConfig": {member: value}}).error is None


def test_a_health_check_is_an_object() -> None:
    found = problems(validate_start_instance({"healthCheckConfig": [1]}))
    assert found == [("healthCheckConfig", '"healthCheckConfig" must be of type object')]


def test_these_requests_are_valid_too_once_they_exist() -> None:
    with pytest.raises(ValidationError, match="Health check timeout"):
        HealthCheckConfig(timeout_ms=1)
    with pytest.raises(ValidationError, match="instanceName"):
        StartInstanceRequest(instance_name="no good")
    with pytest.raises(ValidationError, match="webhookUrl"):
        StopInstanceRequest(webhook_url="no")
    with pytest.raises(ValidationError, match="webhookUrl"):
        DeleteInstanceRequest(webhook_url="no")
    with pytest.raises(ValidationError, match="lastUsedAt"):
        UpdateLastUsedTimeRequest(last_used_at=datetime(2026, 1, 2))  # noqa: DTZ001 - the point
    with pytest.raises(ValidationError, match="pageSize"):
        ListInstancesQuery(page_size=101)


# -- last used ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T12:00:00.000Z", NOON),
        ("2026-01-02T12:00:00Z", NOON),
        ("2026-01-02T12:00", NOON),
        ("2026-01-02 12:00:00", NOON),
        ("2026-01-02", NOON - timedelta(hours=12)),
        ("2026-01-02T14:00:00+02:00", NOON),
        ("2026-01-02T06:30:00-0530", NOON),
        ("2026-01-02T12:00:00.1234567Z", NOON + timedelta(milliseconds=123)),
        ("1970-01-01", datetime(1970, 1, 1, tzinfo=timezone.utc)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999000, timezone.utc)),
        (NOON.astimezone(timezone(timedelta(hours=9))), NOON),
    ],
)
def test_times_become_utc_with_milliseconds(text: object, expected: datetime) -> None:
    result = validate_last_used({"lastUsedAt": text})
    assert result.error is None
    assert result.value.last_used_at == expected
    assert result.value.last_used_at is not None
    assert result.value.last_used_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        "", "yesterday", "2026", "2026-02-30", "2026-13-01", "0000-01-01", "2026-01-02T25:00",
        "2026-01-02T12:00:00+25:00", "2026-01-02T12:00:00+00:99", "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00", "2026-01-02T12:00:00Z\n", "٢٠٢٦-01-02", "x" * 10_000_000,
        None, 0, 1_700_000_000, True, [], {}, datetime(2026, 1, 2),  # noqa: DTZ001 - the point
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_what_is_no_time(value: object) -> None:
    assert problems(validate_last_used({"lastUsedAt": value})) == [
        ("lastUsedAt", "Last used time must be a valid ISO date string")
    ]


def test_no_time_at_all_is_fine() -> None:
    assert validate_last_used({}) == Valid(UpdateLastUsedTimeRequest())


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_every_time_the_contract_writes_is_read(moment: datetime) -> None:
    written = converter.unstructure(UpdateLastUsedTimeRequest(last_used_at=moment))
    result = validate_last_used(written)
    assert result == Valid(UpdateLastUsedTimeRequest(last_used_at=moment))


# -- list ---------------------------------------------------------------------------------------


def test_a_list_query_has_defaults_and_takes_texts() -> None:
    assert validate_list_query({}) == Valid(ListInstancesQuery(page=1, page_size=20))
    query = {"page": "3", "pageSize": "100", "status": "running"}
    assert validate_list_query(query) == Valid(
        ListInstancesQuery(page=3, page_size=100, status=InstanceStatus.RUNNING)
    )


def test_a_list_query_has_bounds() -> None:
    statuses = "[creating, starting, running, failed, stopped]"
    assert problems(validate_list_query({"page": 0, "pageSize": 101, "status": "ready"})) == [
        ("page", '"page" must be greater than or equal to 1'),
        ("pageSize", '"pageSize" must be less than or equal to 100'),
        ("status", f'"status" must be one of {statuses}'),
    ]
    assert problems(validate_list_query({"page": "x", "pageSize": 0, "status": ["running"]})) == [
        ("page", '"page" must be an integer'),
        ("pageSize", '"pageSize" must be greater than or equal to 1'),
        ("status", f'"status" must be one of {statuses}'),
    ]
    assert problems(validate_list_query({"page": 10**400})) == [
        ("page", '"page" must be a safe number')
    ]


# -- all of them --------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELD = st.sampled_from(
    ["instanceName", "webhookUrl", "targetPort", "healthCheckConfig", "lastUsedAt", "page",
     "pageSize", "status", "timeoutMs"]
)  # fmt: skip


@given(st.dictionaries(FIELD, ANYTHING | st.dictionaries(FIELD, ANYTHING)) | ANYTHING)
def test_nothing_makes_any_of_them_raise(data: object) -> None:
    for validate in [*BODIES, validate_instance_id]:
        result = validate(data)
        if result.error is not None:
            assert result.error.details
            body = converter.unstructure(result.error.to_response())
            json.dumps(body, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("validate", BODIES)
def test_a_body_that_is_no_object_is_refused_by_all(validate: Any) -> None:
    for body in (None, [], "x", 1):
        assert problems(validate(body)) == [("", '"value" must be of type object')]


# -- the body that refuses ----------------------------------------------------------------------


def test_a_refusal_becomes_the_contracts_error_body() -> None:
    result = validate_list_query({"page": 0, "pageSize": None})
    assert isinstance(result, Invalid)
    response = result.error.to_response(request_id="req_1", now=NOON)
    assert isinstance(response, ValidationErrorResponse)
    assert converter.unstructure(response) == {
        "error": {
            "code": "VALIDATION_ERROR",
            "message": "Validation failed",
            "timestamp": "2026-01-02T12:00:00.000Z",
            "requestId": "req_1",
            "validationErrors": [
                {
                    "field": "page",
                    "message": '"page" must be greater than or equal to 1',
                    "value": 0,
                },
                {"field": "pageSize", "message": '"pageSize" must be an integer'},
            ],
        }
    }


def test_a_raised_error_becomes_the_same_body() -> None:
    with pytest.raises(ValidationError) as caught:
        ListInstancesQuery(page=0)
    result = validate_list_query({"page": 0})
    assert isinstance(result, Invalid)
    assert ValidationErrorResponse.of(caught.value, now=NOON) == result.error.to_response(now=NOON)


def test_a_refusal_happens_now_unless_told_otherwise() -> None:
    result = validate_list_query(None)
    assert result.error is not None
    before = datetime.now(timezone.utc)
    response = result.error.to_response()
    assert before <= response.error.timestamp <= datetime.now(timezone.utc)
    assert response.error.request_id == "unknown"
