"""The life of a managed instance, as a table.

The cloud's status words are many and pass quickly; the contract's are few. A managed instance moves only along this
table, so that a late poll cannot bring a deleted instance back, and a failed one stays failed until it is started.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from ..cloud import CloudStatus, Instance, Phase
from ..models import InstanceStatus as Status

__all__ = ["ENDED", "MOVES", "READY", "Move", "after", "can", "is_gone", "move_seen"]


class Move(Enum):
    """What can happen to a managed instance."""

    ACCEPTED = "the cloud accepted the create"
    COMING_UP = "seen on its way up"
    RUNNING = "seen running"
    FAIL = "will not become ready"
    START = "asked to start"
    STOP = "asked to stop"
    STOPPED = "seen stopped"
    DELETE = "asked to delete, or seen gone"


# The states in which an instance is of use, and those from which it cannot become so by waiting.
READY: Final = frozenset({Status.RUNNING, Status.READY})
ENDED: Final = frozenset({Status.FAILED, Status.STOPPED, Status.EXITED, Status.TERMINATED})

_ASLEEP: Final[Mapping[Move, Status]] = {
    Move.START: Status.STARTING,
    Move.RUNNING: Status.RUNNING,
    Move.STOPPED: Status.STOPPED,
    Move.DELETE: Status.TERMINATED,
}
_COMING: Final[Mapping[Move, Status]] = {
    Move.COMING_UP: Status.STARTING,
    Move.RUNNING: Status.RUNNING,
    Move.FAIL: Status.FAILED,
    Move.STOP: Status.STOPPING,
    Move.DELETE: Status.TERMINATED,
}
_UP: Final[Mapping[Move, Status]] = {
    Move.RUNNING: Status.RUNNING,
    Move.COMING_UP: Status.STARTING,
    Move.STOP: Status.STOPPING,
    Move.STOPPED: Status.STOPPED,
    Move.FAIL: Status.FAILED,
    Move.DELETE: Status.TERMINATED,
}

MOVES: Final[Mapping[Status, Mapping[Move, Status]]] = {
    Status.CREATING: {
        Move.ACCEPTED: Status.CREATED,
        Move.FAIL: Status.FAILED,
        Move.DELETE: Status.TERMINATED,
    },
    Status.CREATED: _COMING,
    Status.STARTING: _COMING,
    Status.RUNNING: _UP,
    Status.READY: _UP,
    Status.STOPPING: {
        Move.STOPPED: Status.STOPPED,
        # The cloud did not stop it after all: it runs, and bills.
        Move.FAIL: Status.FAILED,
        Move.DELETE: Status.TERMINATED,
    },
    Status.STOPPED: _ASLEEP,
    Status.EXITED: _ASLEEP,
    # A machine that came up late is seen by a read, but only a start puts it back to work.
    Status.FAILED: {
        Move.START: Status.STARTING,
        Move.STOP: Status.STOPPING,
        Move.DELETE: Status.TERMINATED,
    },
    Status.TERMINATED: {},
}


def can(status: Status, move: Move) -> bool:
    """Whether *move* is possible from *status*; from a status this version does not know, everything is."""
    return status not in MOVES or move in MOVES[status]


def after(status: Status, move: Move) -> Status:
    """Return the status after *move*; one that is not in the table changes nothing.

    >>> after(Status.CREATING, Move.ACCEPTED)
    InstanceStatus.CREATED
    >>> after(Status.TERMINATED, Move.RUNNING)
    InstanceStatus.TERMINATED
    """
    if status not in MOVES:
        return _UP.get(move, Status.STARTING)
    return MOVES[status].get(move, status)


_SEEN: Final[Mapping[Phase, Move]] = {
    Phase.PROVISIONING: Move.COMING_UP,
    Phase.UP: Move.RUNNING,
    Phase.STOPPED: Move.STOPPED,
    Phase.GONE: Move.DELETE,
}


def move_seen(status: CloudStatus | None) -> Move | None:
    """The move that a sight of *status* stands for; None when it says nothing, as an unknown word does."""
    phase = status.phase if status is not None else None
    return _SEEN.get(phase) if phase is not None else None


def is_gone(sight: Instance | None) -> bool:
    """Whether a machine no longer bills: removed, on its way out, or not known (None)."""
    if sight is None:
        return True
    return sight.status is not None and sight.status.phase is Phase.GONE
