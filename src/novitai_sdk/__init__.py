"""Rents Novita GPU instances and looks after them.

>>> from novitai_sdk import Novitai
>>> from novitai_sdk.emulator import Emulator
>>> with Emulator() as cloud, Novitai(api_key=cloud.api_key, base_url=cloud.base_url, store="memory") as client:
...     instance = client.instances.create(
...         name="my-gpu-instance", product_name="RTX 4090 24GB", template_id="tf-training-template-1"
...     )
...     instance = instance.wait_until_ready(timeout=60)
...     print(instance.status)
...     print(instance.delete().status)
running
terminated

`Novitai` returns results, `AsyncNovitai` is awaited, on asyncio or trio; both offer the same. Beside them stand the
models one meets first (all of them are in ``novitai_sdk.models``), the errors, the validators and the converter;
``cloud``, ``jobs``, ``webhooks``, ``instances``, ``health`` and ``transport`` are loaded when they are used.
``emulator`` and ``testing``, which are for tests, and ``otel``, which needs an extra, are imported by name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from ._circuit import CircuitBreaker
from ._convert import converter
from ._rate import RateLimit
from ._retry import Attempt, RetryPolicy
from ._version import __version__
from .client import AsyncNovitai, Novitai
from .errors import (
    AlreadyReceived,
    ApiError,
    CallError,
    CallTimedOut,
    CircuitOpen,
    CleanupFailed,
    ClientClosed,
    ConnectFailed,
    CreateOutcomeUnknown,
    InstanceError,
    InstanceFailed,
    InstanceNotFound,
    InstanceStateError,
    InsufficientBalance,
    InvalidState,
    JobError,
    NoCapacity,
    NoFreeConnection,
    NoSuitableProduct,
    NotFound,
    NovitaError,
    PermissionDenied,
    RateLimited,
    RequestRefused,
    ServerFailed,
    SettingsError,
    SignatureInvalid,
    TransportFailed,
    Unauthorized,
    UnexpectedReply,
    ValidationError,
    WaitTimedOut,
)
from .models import (
    DEFAULT_REGIONS,
    BillingMode,
    ConnectionDetails,
    CreateInstanceRequest,
    InstanceDetails,
    InstanceStatus,
    Job,
    JobPriority,
    JobQueueStats,
    JobStatus,
    JobThroughput,
    JobType,
    PortMapping,
    Secret,
    ValidationErrorDetail,
    WebhookEvent,
)
from .settings import Settings
from .validation import (
    ValidationResult,
    validate_create_instance,
    validate_delete_instance,
    validate_instance_id,
    validate_last_used,
    validate_list_query,
    validate_start_instance,
    validate_stop_instance,
)

if TYPE_CHECKING:
    from . import cloud as cloud
    from . import health as health
    from . import instances as instances
    from . import jobs as jobs
    from . import transport as transport
    from . import webhooks as webhooks

__all__ = [
    "DEFAULT_REGIONS",
    "AlreadyReceived",
    "ApiError",
    "AsyncNovitai",
    "Attempt",
    "BillingMode",
    "CallError",
    "CallTimedOut",
    "CircuitBreaker",
    "CircuitOpen",
    "CleanupFailed",
    "ClientClosed",
    "ConnectFailed",
    "ConnectionDetails",
    "CreateInstanceRequest",
    "CreateOutcomeUnknown",
    "InstanceDetails",
    "InstanceError",
    "InstanceFailed",
    "InstanceNotFound",
    "InstanceStateError",
    "InstanceStatus",
    "InsufficientBalance",
    "InvalidState",
    "Job",
    "JobError",
    "JobPriority",
    "JobQueueStats",
    "JobStatus",
    "JobThroughput",
    "JobType",
    "NoCapacity",
    "NoFreeConnection",
    "NoSuitableProduct",
    "NotFound",
    "NovitaError",
    "Novitai",
    "PermissionDenied",
    "PortMapping",
    "RateLimit",
    "RateLimited",
    "RequestRefused",
    "RetryPolicy",
    "Secret",
    "ServerFailed",
    "Settings",
    "SettingsError",
    "SignatureInvalid",
    "TransportFailed",
    "Unauthorized",
    "UnexpectedReply",
    "ValidationError",
    "ValidationErrorDetail",
    "ValidationResult",
    "WaitTimedOut",
    "WebhookEvent",
    "__version__",
    "converter",
    "validate_create_instance",
    "validate_delete_instance",
    "validate_instance_id",
    "validate_last_used",
    "validate_list_query",
    "validate_start_instance",
    "validate_stop_instance",
]

# What this module itself makes use of, and tab completion need not offer.
_TOOLS: Final = frozenset({"Final", "TYPE_CHECKING", "import_module"})
_LATER: Final = ("cloud", "health", "instances", "jobs", "transport", "webhooks")


# Type checkers would take every name for one that is there.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER} - _TOOLS)
