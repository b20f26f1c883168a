"""The life of an emulated instance, as tables.

``STEPS`` says what follows by itself and when, ``MOVES`` what a request may set going, ``SPOT_STEPS`` how a spot
instance is taken back. Times are shares of the emulator's ``life``, so one number stretches or shrinks everything.
"""

from collections.abc import Mapping
from typing import Final

import attrs

__all__ = [
    "BILLED",
    "GONE",
    "HOLDING",
    "JOB_STEPS",
    "MOVES",
    "NETWORK_STEPS",
    "SPOT_STEPS",
    "STEPS",
    "Step",
]

GONE: Final = "(gone)"
"""Not a status of the cloud: the record is no longer found."""


@attrs.frozen
class Step:
    """After ``share`` of a life, ``next``."""

    share: float
    next: str


# From create to running the shares add up to 1.
STEPS: Final[Mapping[str, Step]] = {
    "pending": Step(0.0625, "toCreate"),
    "toCreate": Step(0.0625, "creating"),
    "creating": Step(0.25, "pulling"),
    "pulling": Step(0.625, "running"),
    "toStart": Step(0.0625, "starting"),
    "starting": Step(0.25, "running"),
    "toStop": Step(0.0625, "stopping"),
    "stopping": Step(0.25, "exited"),
    "toRestart": Step(0.0625, "restarting"),
    "restarting": Step(0.25, "running"),
    "toReset": Step(0.0625, "resetting"),
    # A new image has to be pulled like the first one.
    "resetting": Step(0.25, "pulling"),
    # As long as its job, whose steps are below.
    "migrating": Step(0.375, "exited"),
    "toRemove": Step(0.0625, "removing"),
    "removing": Step(0.25, "removed"),
    "removed": Step(1.0, GONE),
}
"""What follows by itself. A status that is not here stays until somebody does something."""

SPOT_STEPS: Final[Mapping[str, Step]] = {
    "notified": Step(0.5, "reclaiming"),
    "reclaiming": Step(0.25, "terminated"),
}
"""How ``spotStatus`` walks while the instance runs; at ``terminated`` the instance is ``exited``."""

JOB_STEPS: Final[Mapping[str, Step]] = {
    "pulling": Step(0.125, "running"),
    "running": Step(0.25, "success"),
}
"""What a job of the cloud does by itself."""

NETWORK_STEPS: Final[Mapping[str, Step]] = {"creating": Step(0.25, "ready")}
"""What a network does by itself."""

_REMOVABLE: Final = (
    "pending", "toCreate", "creating", "pulling", "running", "toStart", "starting", "toStop", "stopping",
    "exited", "toRestart", "restarting", "toReset", "resetting", "migrating", "freezing",
)  # fmt: skip

MOVES: Final[Mapping[str, Mapping[str, str]]] = {
    "start": {"exited": "toStart"},
    "stop": {"running": "toStop"},
    "restart": {"running": "toRestart"},
    "upgrade": {"running": "toReset", "exited": "toReset"},
    "migrate": {"exited": "migrating"},
    "delete": dict.fromkeys(_REMOVABLE, "toRemove"),
}
"""What a request sets going; any other pair of action and status is refused."""

BILLED: Final = frozenset(
    {
        "pulling", "running", "toStart", "starting", "toStop", "stopping", "toRestart", "restarting", "toReset",
        "resetting",
    }
)  # fmt: skip
"""Where an instance is charged for: from the image download until it has stopped."""

HOLDING: Final = frozenset({"pending", "toCreate", "creating", "migrating"}) | BILLED
"""Where an instance holds its GPUs."""
