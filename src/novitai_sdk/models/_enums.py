"""The words of the service contract. All of them are open: a word that is not listed is kept as it came."""

from typing import TypeAlias

from ._base import OpenInt, OpenStr

TemplateId: TypeAlias = str | int | float
"""A template's id. History knows texts and numbers, and what came as one goes out as the same."""


class InstanceStatus(OpenStr):
    """Where an instance stands in its life.

    >>> InstanceStatus("running")
    InstanceStatus.RUNNING
    >>> InstanceStatus("levitating").known
    False
    """

    CREATING = "creating"
    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    HEALTH_CHECKING = "health_checking"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXITED = "exited"
    MIGRATING = "migrating"
    FAILED = "failed"
    TERMINATED = "terminated"


class BillingMode(OpenStr):
    """How a machine is paid for. A request to create one may ask for the first two.

    Older requests wrote ``on_demand``, which is read as ``onDemand``.

    >>> BillingMode("on_demand")
    BillingMode.ON_DEMAND
    """

    SPOT = "spot"
    """At the spot price; the cloud may take the machine back."""

    ON_DEMAND = "onDemand"
    """At the full price; the machine stays until it is stopped."""

    MONTHLY = "monthly"
    """Paid ahead for months."""

    @classmethod
    def _missing_(cls, value: object) -> OpenStr | None:
        return cls.ON_DEMAND if value == "on_demand" else super()._missing_(value)


class JobType(OpenStr):
    """What a job does."""

    CREATE_INSTANCE = "create_instance"
    MONITOR_INSTANCE = "monitor_instance"
    SEND_WEBHOOK = "send_webhook"
    MONITOR_STARTUP = "monitor_startup"
    MIGRATE_SPOT_INSTANCES = "migrate_spot_instances"
    AUTO_STOP_CHECK = "auto_stop_check"
    HANDLE_FAILED_MIGRATIONS = "handle_failed_migrations"


class JobStatus(OpenStr):
    """Where a job stands in its life."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class JobPriority(OpenInt):
    """How urgent a job is; the higher goes first."""

    LOW = 1
    NORMAL = 2
    HIGH = 3
    CRITICAL = 4


class ServiceStatus(OpenStr):
    """Whether one of the services a client stands on answers."""

    UP = "up"
    DOWN = "down"


class HealthStatus(OpenStr):
    """The sum of all services: healthy when every one is up."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class WebhookStatus(OpenStr):
    """What a webhook tells of. Not all of them are statuses of an instance."""

    RUNNING = "running"
    READY = "ready"
    HEALTH_CHECKING = "health_checking"
    FAILED = "failed"
    TIMEOUT = "timeout"
    STARTUP_INITIATED = "startup_initiated"
    STARTUP_COMPLETED = "startup_completed"
    STARTUP_FAILED = "startup_failed"
    STOPPED = "stopped"
    DELETED = "deleted"
