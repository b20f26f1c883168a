"""What has to happen when the interpreter ends and somebody forgot to close.

One handler for all, since the order matters: runners hand their jobs back first, then stores finish
what they have accepted.
"""

import atexit
from typing import Protocol
from weakref import WeakSet


class Closes(Protocol):
    """Something with a thread of its own."""

    def close_at_exit(self) -> None:
        """Come to an end soon; there are seconds, not minutes."""
        ...


runners: "WeakSet[Closes]" = WeakSet()
stores: "WeakSet[Closes]" = WeakSet()


def _close_all() -> None:
    for group in (runners, stores):
        for one in list(group):
            one.close_at_exit()


atexit.register(_close_all)
