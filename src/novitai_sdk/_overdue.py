"""Until when a reply may be read.

A reply of some MB can hold a hundred thousand things that do not fit, and to find out what is wrong with each takes
longer than whoever asked would wait. The converter asks here before it looks at one; the session says what to answer.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import local

__all__ = ["Overdue", "check", "until"]


class Overdue(BaseException):
    """The deadline passed while a reply was read.

    No Exception: who gathers all that is wrong with a reply would take it for one more of that.
    """


class _Here(local):
    """What holds for the reply that this thread reads just now."""

    is_over: Callable[[], bool] | None = None


_here = _Here()


@contextmanager
def until(is_over: Callable[[], bool]) -> Generator[None, None, None]:
    """Have what this thread reads inside end with Overdue as soon as *is_over*."""
    _here.is_over = is_over
    try:
        yield
    finally:
        _here.is_over = None


def check() -> None:
    """Raise Overdue if there is no time left to read on."""
    if _here.is_over is not None and _here.is_over():
        raise Overdue
