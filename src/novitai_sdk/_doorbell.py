"""A way into a loop of asyncio from other threads that costs less than asyncio's own."""

import os
import sys
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import SelectorEventLoop

__all__ = ["Doorbell", "doorbell"]

_SIZE: Final = 8
_ONE: Final = (1).to_bytes(_SIZE, sys.byteorder)


class Doorbell:
    """A counter in the kernel that whoever rings raises, and the loop that listens to it wakes up.

    Closed with the last who could ring it, and by nobody before: the number of a closed descriptor is soon that of
    somebody's file, and a ring would be written there.
    """

    __slots__ = ("_close", "_descriptor")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._close = os.close  # at the end of the interpreter the module may have gone first

    def __del__(self) -> None:
        self._close(self._descriptor)

    def ring(self) -> None:
        """Wake the loop; on any thread."""
        os.write(self._descriptor, _ONE)

    def listen(self, loop: "SelectorEventLoop", answer: Callable[[], object]) -> None:
        """Have *loop* call *answer* each time."""

        def wake() -> None:
            try:  # noqa: SIM105 - to enter and leave a context manager costs as much as the read
                os.read(self._descriptor, _SIZE)
            except BlockingIOError:  # a child that was forked here has heard it
                pass
            answer()

        loop.add_reader(self._descriptor, wake)

    def hang_up(self, loop: "SelectorEventLoop") -> None:
        """Have *loop* listen no longer."""
        loop.remove_reader(self._descriptor)


def doorbell(loop: Hashable, answer: Callable[[], object]) -> Doorbell | None:
    """Return what makes the running *loop* call *answer*; None where there is nothing better than its own way.

    That way of asyncio, ``call_soon_threadsafe``, makes a handle for each call, writes to a socket and has the loop
    read from it until it finds nothing there, which takes half as long again.
    """
    if sys.platform != "linux":
        return None
    import asyncio

    # Other loops have ways of their own: uvloop's is as good.
    if type(loop) is not asyncio.SelectorEventLoop:
        return None
    try:
        bell = Doorbell(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        bell.listen(loop, answer)
    except (
        OSError,
        ValueError,
    ):  # too many files are open, or more than what the loop selects with can tell apart
        return None
    return bell
