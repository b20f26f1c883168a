"""Waiting for what another thread does, in milliseconds."""

from collections.abc import Callable
from time import monotonic, sleep

import anyio


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Suspend until *condition* holds; the emulator, which lives in threads of its own, announces nothing."""
    with anyio.fail_after(within):
        while not condition():  # noqa: ASYNC110 - see above
            await anyio.sleep(0.005)


def block_until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Block until *condition* holds."""
    ends = monotonic() + within
    while not condition():
        assert monotonic() < ends, "it did not happen"
        sleep(0.005)
