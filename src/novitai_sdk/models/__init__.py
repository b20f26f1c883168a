"""The models of the service contract: frozen values, no I/O.

Names are snake_case here and camelCase on the wire; times are aware and UTC; durations keep the contract's
milliseconds; fields that are not known here are kept in ``extra``. Enumerations are open. JSON goes in and out through
``novitai_sdk.converter``.
"""

from ._base import Json, JsonObject, OpenInt, OpenStr, Secret
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
from ._errors import (
    ErrorDetail,
    ErrorResponse,
    ValidationErrorBody,
    ValidationErrorDetail,
    ValidationErrorResponse,
)
from ._health import (
    CacheDependency,
    CacheUsage,
    CpuUsage,
    EnhancedHealthCheckResponse,
    HealthCheckResponse,
    HealthDependencies,
    HealthServices,
    JobQueueDependency,
    MemoryUsage,
    NovitaApiDependency,
    PerformanceMetrics,
    SystemMetrics,
)
from ._instances import (
    Configuration,
    ConnectionDetails,
    EnvVar,
    InstanceDetails,
    InstanceResponse,
    InstanceState,
    ListInstancesResponse,
    Port,
    PortMapping,
    Timestamps,
)
from ._jobs import (
    CreateInstanceJobPayload,
    Job,
    JobQueueStats,
    MonitorInstanceJobPayload,
    SendWebhookJobPayload,
)
from ._requests import CreateInstanceRequest, CreateInstanceResponse, NovitaCreateInstanceRequest
from ._rules import DEFAULT_REGIONS
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
