"""The words of the cloud: its enumerations, all of them open, and what an instance's status means."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from ..models._base import OpenStr

__all__ = [
    "PHASES",
    "BillingMethod",
    "Channel",
    "CloudStatus",
    "InstanceKind",
    "InventoryState",
    "JobPhase",
    "JobType",
    "NetworkPhase",
    "Phase",
    "PortType",
    "SpotStatus",
]


class Phase(Enum):
    """What a status means to somebody who waits or pays."""

    PROVISIONING = "provisioning"
    """On its way to running."""

    UP = "up"
    """The container was started; whether a service in it answers is another question."""

    STOPPING = "stopping"
    """On its way to stopped, or frozen by arrears."""

    STOPPED = "stopped"
    """Stopped by the user, a crash, a spot reclaim or arrears. Its storage goes on costing."""

    GONE = "gone"
    """Removed, or being removed: it never comes back."""


class CloudStatus(OpenStr):
    """The status of a cloud instance.

    There is no failed status: an instance has failed when its ``statusError`` says something
    (see :attr:`Instance.failure`).

    >>> CloudStatus("pulling").phase
    <Phase.PROVISIONING: 'provisioning'>
    >>> CloudStatus("levitating").phase is None
    True
    """

    PENDING = "pending"  # not documented, but sent before toCreate
    TO_CREATE = "toCreate"
    CREATING = "creating"
    PULLING = "pulling"
    RUNNING = "running"
    TO_START = "toStart"
    STARTING = "starting"
    TO_STOP = "toStop"
    STOPPING = "stopping"
    EXITED = "exited"
    TO_RESTART = "toRestart"
    RESTARTING = "restarting"
    TO_RESET = "toReset"
    RESETTING = "resetting"
    MIGRATING = "migrating"
    FREEZING = "freezing"
    TO_REMOVE = "toRemove"
    REMOVING = "removing"
    REMOVED = "removed"

    @property
    def phase(self) -> Phase | None:
        """What the status means, or None for one this version does not know."""
        return PHASES.get(self)

    @property
    def final(self) -> bool:
        """Whether nothing can follow: the instance is removed and only its record lingers."""
        return self is CloudStatus.REMOVED


PHASES: Final[Mapping[CloudStatus, Phase]] = {
    CloudStatus.PENDING: Phase.PROVISIONING,
    CloudStatus.TO_CREATE: Phase.PROVISIONING,
    CloudStatus.CREATING: Phase.PROVISIONING,
    CloudStatus.PULLING: Phase.PROVISIONING,
    CloudStatus.RUNNING: Phase.UP,
    CloudStatus.TO_START: Phase.PROVISIONING,
    CloudStatus.STARTING: Phase.PROVISIONING,
    CloudStatus.TO_STOP: Phase.STOPPING,
    CloudStatus.STOPPING: Phase.STOPPING,
    CloudStatus.EXITED: Phase.STOPPED,
    CloudStatus.TO_RESTART: Phase.PROVISIONING,
    CloudStatus.RESTARTING: Phase.PROVISIONING,
    CloudStatus.TO_RESET: Phase.PROVISIONING,
    CloudStatus.RESETTING: Phase.PROVISIONING,
    CloudStatus.MIGRATING: Phase.PROVISIONING,
    CloudStatus.FREEZING: Phase.STOPPING,
    CloudStatus.TO_REMOVE: Phase.GONE,
    CloudStatus.REMOVING: Phase.GONE,
    CloudStatus.REMOVED: Phase.GONE,
}
"""What each known status means; a status that is not here is one this version does not know."""


class BillingMethod(OpenStr):
    """How an instance is paid for."""

    ON_DEMAND = "onDemand"
    """Per second from the image download until it is stopped."""

    MONTHLY = "monthly"
    """Up front; cannot be deleted before it expires."""

    SPOT = "spot"
    """As on demand, at the spot price; the cloud may take it back."""


class SpotStatus(OpenStr):
    """How near a spot instance is to being taken back."""

    RUNNING = "running"
    """Not threatened."""

    NOTIFIED = "notified"
    """The cloud will take it back at ``spot_reclaim_time``."""

    RECLAIMING = "reclaiming"
    TERMINATED = "terminated"


class InstanceKind(OpenStr):
    """Whether a machine has GPUs."""

    GPU = "gpu"
    CPU = "cpu"


class PortType(OpenStr):
    """How a port is reached from outside."""

    HTTP = "http"
    TCP = "tcp"


class InventoryState(OpenStr):
    """How much of a product is left."""

    NONE = "none"
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Channel(OpenStr):
    """Who offers a template."""

    OFFICIAL = "official"
    COMMUNITY = "community"
    PRIVATE = "private"


class PrewarmState(OpenStr):
    """How far an image is on its way to nodes; the cloud writes these with capitals."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class EndpointPhase(OpenStr):
    """How a serverless endpoint is; nothing but this is documented."""

    SERVING = "serving"


class PolicyType(OpenStr):
    """By what workers of an endpoint are added."""

    QUEUE = "queue"
    CONCURRENCY = "concurrency"


class JobType(OpenStr):
    """What a job of the cloud does."""

    SAVE_IMAGE = "saveImage"
    INSTANCE_MIGRATE = "instanceMigrate"
    """A move somebody asked for."""

    AUTO_INSTANCE_MIGRATE = "autoInstanceMigrate"
    """A move the cloud began because a node failed."""


class JobPhase(OpenStr):
    """How far a job of the cloud is."""

    PENDING = "pending"  # not documented, but seen
    PULLING = "pulling"
    RUNNING = "running"
    FAIL = "fail"
    SUCCESS = "success"
    BREAK = "break"
    """Somebody stopped it."""

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return self in (JobPhase.FAIL, JobPhase.SUCCESS, JobPhase.BREAK)


class NetworkPhase(OpenStr):
    """Whether a network can be used."""

    CREATING = "creating"
    READY = "ready"
