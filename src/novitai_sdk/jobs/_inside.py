"""Which stores' jobs run in the event loop of a thread: whoever blocks that thread waits for himself."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from ._store import Store

__all__ = ["refuse_inside", "runs_here"]


class _Here(threading.local):
    def __init__(self) -> None:
        self.stores: list[Store] = []


_here = _Here()


@contextmanager
def runs_here(store: Store) -> Generator[None, None, None]:
    """Note that the jobs of *store* run in the loop of this thread, as long as the block lasts."""
    _here.stores.append(store)
    try:
        yield
    finally:
        # By identity, and not the last: runners of one loop end in any order.
        for at, one in enumerate(_here.stores):
            if one is store:
                del _here.stores[at]
                break


def refuse_inside(store: Store, what: str) -> None:
    """Raise RuntimeError in the thread whose loop runs the jobs of *store*: *what* would block it."""
    if any(one is store for one in _here.stores):
        raise RuntimeError(
            f"{what} would hold up the loop that runs the jobs, and with it the one that is waited for: "
            "let the handler answer Again and look with get(), or make it an ordinary function, which has a thread"
        )
