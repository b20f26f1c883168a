"""How the models look as JSON, and that nothing is lost on the way there and back."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novitai_sdk import models
from novitai_sdk._convert import converter, explain
from novitai_sdk.models import (
    BillingMode,
    CreateInstanceRequest,
    EnhancedHealthCheckResponse,
    EnvVar,
    ErrorResponse,
    HealthCheckConfig,
    HealthCheckResponse,
    InstanceDetails,
    InstanceState,
    InstanceStatus,
    Job,
    JobPriority,
    JobQueueStats,
    Json,
    JsonObject,
    ListInstancesQuery,
    NovitaCreateInstanceRequest,
    Secret,
    StartInstanceRequest,
    TemplateId,
    UpdateLastUsedTimeRequest,
    ValidationErrorResponse,
    WebhookEvent,
)

# -- any model, with anything in it -------------------------------------------------------------

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
UNKNOWN = st.dictionaries(st.text().map("x-".__add__), ANYTHING, max_size=2)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,100}", fullmatch=True)
# The contract keeps milliseconds.
MOMENTS = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)
)
PORTS = st.integers(1, 65535)
URLS = st.sampled_from(["https://example.com/hook", "http://localhost:80", "http://[::1]/?a=b#c"])
# What a rule narrows further than its type does.
RULED: Mapping[type, Mapping[str, st.SearchStrategy[Any]]] = {
    CreateInstanceRequest: {
        "name": NAMES,
        "product_name": st.text(min_size=1, max_size=200).filter(str.strip),
        "template_id": st.text(min_size=1, max_size=255).filter(str.strip) | st.integers(1, 2**53),
        "gpu_num": st.integers(1, 8),
        "rootfs_size": st.integers(20, 1000),
        "region": st.sampled_from(models.DEFAULT_REGIONS),
        "billing_mode": st.sampled_from([BillingMode.SPOT, BillingMode.ON_DEMAND]),
    },
    HealthCheckConfig: {
        "timeout_ms": st.integers(1000, 300_000),
        "retry_attempts": st.integers(0, 10),
        "retry_delay_ms": st.integers(100, 30_000),
        "max_wait_time_ms": st.integers(30_000, 1_800_000),
    },
    ListInstancesQuery: {
        "page": st.integers(1, 2**53 - 1),
        "page_size": st.integers(1, 100),
        "status": st.sampled_from([InstanceStatus.RUNNING, None]),
    },
}
EVERYWHERE: Mapping[str, st.SearchStrategy[Any]] = {
    "webhook_url": st.none() | URLS,
    "target_port": st.none() | PORTS,
    "instance_name": st.none() | NAMES,
}


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    if kind == Json:
        return ANYTHING
    if kind == JsonObject:
        return UNKNOWN
    if get_origin(kind) in (Union, UnionType):
        return st.one_of(*map(of_type, get_args(kind)))
    if get_origin(kind) is tuple:
        return st.lists(of_type(get_args(kind)[0]), max_size=2).map(tuple)
    if get_origin(kind) is not None:
        return st.dictionaries(st.text(), of_type(get_args(kind)[1]), max_size=2)
    if attrs.has(kind):
        return of_model(kind)
    if issubclass(kind, Enum):
        base = st.text() if issubclass(kind, str) else st.integers(-9, 9)
        return (st.sampled_from(list(kind)) | base).map(kind)
    return {
        str: st.text(),
        int: st.integers(-(2**53), 2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        datetime: MOMENTS,
        Secret: st.text().map(Secret),
        NoneType: st.none(),
    }[kind]


def of_field(model: Any, field: "attrs.Attribute[Any]") -> st.SearchStrategy[Any]:
    if field.metadata.get("extra"):
        return UNKNOWN
    if field.name in RULED.get(model, {}):
        return RULED[model][field.name]
    if field.name in EVERYWHERE and model.__module__.endswith(("_requests", "_verbs")):
        return EVERYWHERE[field.name]
    return of_type(field.type)


def of_model(model: Any) -> st.SearchStrategy[Any]:
    fields = {
        field.name: of_field(model, field)
        for field in attrs.fields(model)
        if field.metadata.get("wire", "") is not None
    }
    return st.builds(model, **fields)


def kinds_in(written: Any) -> set[type]:
    """The very kinds of all that was written: what is a text to JSON may be none to YAML."""
    inner = written.values() if isinstance(written, dict) else written
    nested = [kinds_in(one) for one in inner] if isinstance(written, dict | list) else []
    return {type(written)}.union(*nested)


MODELS = [value for name in models.__all__ if attrs.has(value := getattr(models, name))]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=30)
@given(data=st.data())
def test_every_model_comes_back_from_json_as_it_went(model: Any, data: st.DataObject) -> None:
    value = data.draw(of_model(model))
    written = converter.unstructure(value)
    assert kinds_in(written) <= {dict, list, str, int, float, bool, NoneType}
    sent = json.loads(json.dumps(written))
    assert converter.structure(sent, model) == value
    assert all(one is not None for key, one in sent.items() if key not in value.extra)


# -- as it looks on the wire --------------------------------------------------------------------


def test_a_request_looks_as_the_contract_says() -> None:
    request = CreateInstanceRequest(
        name="mine", product_name="RTX 4090 24GB", template_id=1, regions=("X",), region="X"
    )
    assert converter.unstructure(request) == {
        "name": "mine",
        "productName": "RTX 4090 24GB",
        "templateId": 1,
        "gpuNum": 1,
        "rootfsSize": 60,
        "region": "X",
        "billingMode": "spot",
    }


@pytest.mark.parametrize("template_id", ["107672", 107672, "1.5"])
def test_a_template_id_keeps_its_kind(template_id: TemplateId) -> None:
    body = {"name": "mine", "productName": "p", "templateId": template_id}
    request = converter.structure(body, CreateInstanceRequest)
    assert type(request.template_id) is type(template_id)
    assert converter.unstructure(request)["templateId"] == template_id


def test_a_body_that_breaks_a_rule_is_not_a_request() -> None:
    body = {"name": "no good", "productName": "p", "templateId": "t", "gpuNum": 9}
    with pytest.raises(Exception, match="CreateInstanceRequest") as caught:
        converter.structure(body, CreateInstanceRequest)
    (line,) = explain(caught.value)
    assert "GPU number must be at most 8" in line
    assert "Name must contain only" in line


STATE = {
    "id": "inst_1_a",
    "name": "mine",
    "status": "levitating",
    "productId": "p",
    "templateId": "t",
    "configuration": {
        "gpuNum": 1,
        "rootfsSize": 60,
        "region": "CN-HK-01",
        "imageUrl": "img",
        "ports": [{"port": 8888, "type": "http", "protocolVersion": 2}],
        "envs": [{"name": "TOKEN", "value": "hush"}],
    },
    "timestamps": {"created": "2026-01-02T12:00:00.000Z", "migrated": "2026-01-02T12:00:00.000Z"},
    "somethingNew": {"deep": [1, None]},
}


def test_an_older_or_newer_record_is_read_and_given_back() -> None:
    state = converter.structure(STATE, InstanceState)
    assert not state.status.known
    assert state.configuration.envs == (EnvVar(key="TOKEN", value="hush"),)
    assert state.extra == {"somethingNew": {"deep": [1, None]}}
    back = converter.unstructure(state)
    # The older word for an environment variable's key is not written any more.
    assert back["configuration"].pop("envs") == [{"key": "TOKEN", "value": "hush"}]
    before = json.loads(json.dumps(STATE))
    before["configuration"].pop("envs")
    assert back == before


def test_optional_fields_may_be_missing_or_null() -> None:
    body = {**STATE, "webhookUrl": None, "lastError": None}
    assert converter.structure(body, InstanceState) == converter.structure(STATE, InstanceState)


def test_required_fields_may_not() -> None:
    body = {key: value for key, value in STATE.items() if key != "name"}
    for wrong in (body, {**body, "name": None}):
        with pytest.raises(Exception, match="InstanceState") as caught:
            converter.structure(wrong, InstanceState)
        assert any("$.name" in line for line in explain(caught.value))


def test_a_job_looks_as_the_contract_says() -> None:
    body = {
        "id": "job_1_a",
        "type": "create_instance",
        "payload": {"instanceId": "inst_1_a"},
        "status": "pending",
        "priority": 3,
        "attempts": 1,
        "maxAttempts": 3,
        "createdAt": "2026-01-02T12:00:00.000Z",
        "nextRetryAt": "2026-01-02T12:00:01.500Z",
    }
    job = converter.structure(body, Job)
    assert job.priority is JobPriority.HIGH
    assert converter.unstructure(job) == body


def test_an_older_job_without_a_priority_is_normal() -> None:
    body = {
        "id": "j",
        "type": "x",
        "payload": {},
        "status": "pending",
        "createdAt": "2026-01-02T12:00:00Z",
    }
    job = converter.structure(body, Job)
    assert (job.priority, job.attempts, job.max_attempts) == (JobPriority.NORMAL, 0, 3)


def test_queue_stats_keep_types_nobody_knows() -> None:
    body = {
        "totalJobs": 1,
        "pendingJobs": 1,
        "processingJobs": 0,
        "completedJobs": 0,
        "failedJobs": 0,
        "jobsByType": {"create_instance": 0, "dance": 1},
    }
    assert converter.unstructure(converter.structure(body, JobQueueStats)) == body


HEALTH: dict[str, Any] = {
    "status": "healthy",
    "timestamp": "2026-01-02T12:00:00.000Z",
    "services": {"novitaApi": "up", "jobQueue": "up", "cache": "down", "redis": "up"},
    "uptime": 12.5,
}
REPORT: dict[str, Any] = {
    **HEALTH,
    "performance": {
        "requestsPerMinute": 1.5,
        "averageResponseTime": 20.0,
        "errorRate": 0.0,
        "jobProcessingRate": 2.0,
    },
    "system": {
        "memory": {"usedMB": 50.5, "totalMB": 100.0, "externalMB": 1.5, "rss": 60.0},
        "cpu": {"usage": 12.5, "loadAverage": [0.5, 0.25, 0.0]},
    },
    "dependencies": {
        "novitaApi": {
            "status": "up",
            "responseTime": 12.5,
            "lastChecked": "2026-01-02T12:00:00.000Z",
        },
        "jobQueue": {
            "status": "up",
            "queueSize": 1,
            "processing": 0,
            "completed": 2,
            "failed": 0,
            "lastChecked": "2026-01-02T12:00:00.000Z",
        },
        "cache": {
            "status": "down",
            "instanceCache": {"size": 1, "hitRatio": 50.0},
            "instanceStatesCache": {"size": 1, "hitRatio": 0.0},
            "totalStates": 1,
            "lastChecked": "2026-01-02T12:00:00.000Z",
        },
        "redis": {"available": True, "healthy": True},
    },
}


def test_health_looks_as_the_contract_says_and_later_services_are_kept() -> None:
    health = converter.structure(HEALTH, HealthCheckResponse)
    assert health.services.extra == {"redis": "up"}
    assert converter.unstructure(health) == HEALTH
    report = converter.structure(REPORT, EnhancedHealthCheckResponse)
    assert report.system.memory.used_mb == 50.5
    assert converter.unstructure(report) == REPORT


def test_a_webhook_is_written_in_the_contracts_order() -> None:
    event = WebhookEvent(
        reason="because",
        data={"b": 1},
        error="no",
        elapsed_time=0,
        operation_id="op",
        novita_instance_id="cloud-1",
        timestamp=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc),
        status="failed",
        instance_id="i",
    )
    body = converter.unstructure(event)
    assert body == {
        "instanceId": "i",
        "status": "failed",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "novitaInstanceId": "cloud-1",
        "operationId": "op",
        "elapsedTime": 0,
        "error": "no",
        "data": {"b": 1},
        "reason": "because",
    }
    assert list(body) == [
        "instanceId", "status", "timestamp", "novitaInstanceId", "operationId", "elapsedTime",
        "error", "data", "reason",
    ]  # fmt: skip


def test_details_of_an_instance_look_as_the_contract_says() -> None:
    body = {
        "id": "i",
        "name": "n",
        "status": "running",
        "gpuNum": 1,
        "region": "r",
        "portMappings": [{"port": 1, "endpoint": "e", "type": "http"}],
        "connectionDetails": {"ssh": "s", "webTerminal": "w"},
        "createdAt": "2026-01-02T12:00:00.000Z",
        "readyAt": "2026-01-02T12:00:00.000Z",
    }
    assert converter.unstructure(converter.structure(body, InstanceDetails)) == body


def test_both_shapes_of_the_clouds_request_are_read() -> None:
    seed: dict[str, Any] = {
        "name": "n",
        "productId": "p",
        "templateId": 5,
        "gpuNum": 1,
        "rootfsSize": 60,
        "region": "CN-HK-01",
        "billingMode": "on_demand",
        "imageUrl": "i",
        "ports": [{"port": 22, "type": "tcp"}],
        "envs": [{"name": "A", "value": "b"}],
    }
    asked = converter.structure(seed, NovitaCreateInstanceRequest)
    assert asked.billing_mode is BillingMode.ON_DEMAND
    later = {
        "name": "n",
        "productId": "p",
        "gpuNum": 1,
        "rootfsSize": 60,
        "imageUrl": "i",
        "kind": "gpu",
        "clusterId": "c",
        "tools": [{"name": "Jupyter", "port": "8888", "type": "http"}],
        "networkStorages": [{"Id": "s", "mountPoint": "/data"}],
        "month": 1,
    }
    newer = converter.structure(later, NovitaCreateInstanceRequest)
    assert (newer.template_id, newer.region, newer.cluster_id) == (None, None, "c")
    assert converter.unstructure(newer)["networkStorages"] == later["networkStorages"]


def test_an_error_body_is_read_with_all_it_says() -> None:
    body = {
        "error": {
            "code": "VALIDATION_ERROR",
            "message": "Validation failed",
            "timestamp": "2026-01-02T12:00:00.000Z",
            "requestId": "req_1",
            "correlationId": "corr_1",
            "validationErrors": [{"field": "name", "message": "m", "value": "v"}],
            "stack": "at line 1",
        }
    }
    read = converter.structure(body, ValidationErrorResponse)
    assert read.error.validation_errors[0].value == "v"
    assert read.error.extra == {"stack": "at line 1"}
    assert converter.unstructure(read) == body


@pytest.mark.parametrize("kind", [ErrorResponse, ValidationErrorResponse])
def test_the_error_bodies_of_all_versions_of_the_service_are_read(
    kind: type[ErrorResponse],
) -> None:
    noon = "2026-01-02T12:00:00.000Z"
    bare = converter.structure(
        {"error": {"code": "CACHE_CLEAR_ERROR", "message": "m", "timestamp": noon}}, kind
    )
    assert (bare.error.code, bare.error.request_id) == ("CACHE_CLEAR_ERROR", "unknown")
    sentence = converter.structure(
        {
            "error": "Internal Server Error",
            "requestId": "req_1",
            "timestamp": noon,
            "colour": "green",
        },
        kind,
    )
    told = sentence.error
    assert (told.code, told.message) == ("INTERNAL_SERVER_ERROR", "Internal Server Error")
    assert (told.request_id, told.timestamp) == ("req_1", bare.error.timestamp)
    assert sentence.extra == {"colour": "green"}
    # Written as the object it stands for, and read again.
    assert converter.structure(converter.unstructure(sentence), kind) == sentence
    assert getattr(told, "validation_errors", ()) == ()


def test_requests_of_the_other_verbs_look_as_the_contract_says() -> None:
    start = StartInstanceRequest(health_check_config=HealthCheckConfig(target_port=80))
    assert converter.unstructure(start) == {
        "healthCheckConfig": {
            "timeoutMs": 30000,
            "retryAttempts": 3,
            "retryDelayMs": 2000,
            "maxWaitTimeMs": 600000,
            "targetPort": 80,
        }
    }
    used = UpdateLastUsedTimeRequest(
        last_used_at=datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=2)))
    )
    assert converter.unstructure(used) == {"lastUsedAt": "2026-01-02T10:00:00.000Z"}
    assert converter.unstructure(UpdateLastUsedTimeRequest()) == {}
