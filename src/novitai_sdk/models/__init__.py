"""The models of the service contract: frozen values, no I/O.

Names are snake_case here and camelCase on the wire; times are aware and UTC; durations keep the contract's
milliseconds; fields that are not known here are kept in ``extra``. Enumerations are open. JSON goes in and out through
``novitai_sdk.converter``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._base import Json, JsonObject, OpenInt, OpenStr, Secret
    from ._creation import CreateInstanceResponse, NovitaCreateInstanceRequest
    from ._details import ValidationErrorDetail
    from ._enums import (
        BillingMode,
        HealthStatus,
        InstanceStatus,
        JobPriority,
        JobStatus,
        JobType,
        ServiceStatus,
        TemplateId,
        WebhookStatus,
    )
    from ._errors import ErrorDetail, ErrorResponse, ValidationErrorBody, ValidationErrorResponse
    from ._health import HealthCheckResponse, HealthServices
    from ._health_report import (
        CacheDependency,
        CacheUsage,
        CpuUsage,
        EnhancedHealthCheckResponse,
        HealthDependencies,
        JobQueueDependency,
        MemoryUsage,
        NovitaApiDependency,
        PerformanceMetrics,
        SystemMetrics,
    )
    from ._instances import ConnectionDetails, InstanceDetails, PortMapping
    from ._jobs import Job, JobQueueStats, JobThroughput
    from ._payloads import (
        CreateInstanceJobPayload,
        MonitorInstanceJobPayload,
        SendWebhookJobPayload,
    )
    from ._requests import CreateInstanceRequest
    from ._rules import DEFAULT_REGIONS
    from ._state import (
        Configuration,
        EnvVar,
        InstanceResponse,
        InstanceState,
        ListInstancesResponse,
        Port,
        Timestamps,
    )
    from ._verbs import (
        DeleteInstanceRequest,
        DeleteInstanceResponse,
        HealthCheckConfig,
        ListInstancesQuery,
        StartInstanceRequest,
        StartInstanceResponse,
        StopInstanceRequest,
        StopInstanceResponse,
        UpdateLastUsedTimeRequest,
        UpdateLastUsedTimeResponse,
    )
    from ._webhooks import WebhookEvent

__all__ = [
    # instances
    "Configuration",
    "ConnectionDetails",
    "EnvVar",
    "InstanceDetails",
    "InstanceResponse",
    "InstanceState",
    "InstanceStatus",
    "ListInstancesResponse",
    "Port",
    "PortMapping",
    "TemplateId",
    "Timestamps",
    # requests and their answers
    "DEFAULT_REGIONS",
    "BillingMode",
    "CreateInstanceRequest",
    "CreateInstanceResponse",
    "DeleteInstanceRequest",
    "DeleteInstanceResponse",
    "HealthCheckConfig",
    "ListInstancesQuery",
    "NovitaCreateInstanceRequest",
    "StartInstanceRequest",
    "StartInstanceResponse",
    "StopInstanceRequest",
    "StopInstanceResponse",
    "UpdateLastUsedTimeRequest",
    "UpdateLastUsedTimeResponse",
    # jobs
    "CreateInstanceJobPayload",
    "Job",
    "JobPriority",
    "JobQueueStats",
    "JobThroughput",
    "JobStatus",
    "JobType",
    "MonitorInstanceJobPayload",
    "SendWebhookJobPayload",
    # health
    "CacheDependency",
    "CacheUsage",
    "CpuUsage",
    "EnhancedHealthCheckResponse",
    "HealthCheckResponse",
    "HealthDependencies",
    "HealthServices",
    "HealthStatus",
    "JobQueueDependency",
    "MemoryUsage",
    "NovitaApiDependency",
    "PerformanceMetrics",
    "ServiceStatus",
    "SystemMetrics",
    # errors
    "ErrorDetail",
    "ErrorResponse",
    "ValidationErrorBody",
    "ValidationErrorDetail",
    "ValidationErrorResponse",
    # webhooks
    "WebhookEvent",
    "WebhookStatus",
    # what they are made of
    "Json",
    "JsonObject",
    "OpenInt",
    "OpenStr",
    "Secret",
]

# A class costs half a millisecond to make, sixty of them more than all else this package loads. So each module of
# models is loaded when the first of its names is asked for.
_NAMES: Final = {
    "_base": "Json JsonObject OpenInt OpenStr Secret",
    "_creation": "CreateInstanceResponse NovitaCreateInstanceRequest",
    "_details": "ValidationErrorDetail",
    "_enums": (
        "BillingMode HealthStatus InstanceStatus JobPriority JobStatus JobType "
        "ServiceStatus TemplateId WebhookStatus "
    ),
    "_errors": "ErrorDetail ErrorResponse ValidationErrorBody ValidationErrorResponse",
    "_health": "HealthCheckResponse HealthServices",
    "_health_report": (
        "CacheDependency CacheUsage CpuUsage EnhancedHealthCheckResponse "
        "HealthDependencies JobQueueDependency MemoryUsage NovitaApiDependency "
        "PerformanceMetrics SystemMetrics "
    ),
    "_instances": "ConnectionDetails InstanceDetails PortMapping",
    "_jobs": "Job JobQueueStats JobThroughput",
    "_payloads": "CreateInstanceJobPayload MonitorInstanceJobPayload SendWebhookJobPayload",
    "_requests": "CreateInstanceRequest",
    "_rules": "DEFAULT_REGIONS",
    "_state": (
        "Configuration EnvVar InstanceResponse InstanceState ListInstancesResponse Port Timestamps "
    ),
    "_verbs": (
        "DeleteInstanceRequest DeleteInstanceResponse HealthCheckConfig "
        "ListInstancesQuery StartInstanceRequest StartInstanceResponse "
        "StopInstanceRequest StopInstanceResponse UpdateLastUsedTimeRequest "
        "UpdateLastUsedTimeResponse "
    ),
    "_webhooks": "WebhookEvent",
}
# What this module itself makes use of, and tab completion need not offer.
_TOOLS: Final = frozenset({"Final", "TYPE_CHECKING", "import_module"})
_HOMES: Final = {name: module for module, names in _NAMES.items() for name in names.split()}


# Type checkers would take every name for one that is there.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - _TOOLS)
