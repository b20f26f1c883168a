"""What has to happen around ``os.fork``, for objects that hold threads, locks or files."""

import os
from threading import Lock
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that must not be carried through a fork as it is."""

    def before_fork(self) -> None:
        """Come to rest: hold locks, let no thread be inside anything."""
        ...

    def after_fork(self, in_child: bool) -> None:
        """Go on in the parent; in the child, begin anew."""
        ...


_runners: "WeakSet[Forkable]" = WeakSet()
_openers: "WeakSet[Forkable]" = WeakSet()
_others: "WeakSet[Forkable]" = WeakSet()
_resting: list[Forkable] = []
_forking = Lock()  # two threads may fork at once


def watch(thing: Forkable) -> None:
    """Have *thing* told of forks for as long as it lives."""
    _others.add(thing)


def watch_runner(thing: Forkable) -> None:
    """The same for what uses stores: it comes to rest before them, for it may have to get something done first."""
    _runners.add(thing)


def watch_opener(thing: Forkable) -> None:
    """The same for what opens stores: at rest before them, it opens none that would not be."""
    _openers.add(thing)


def _before() -> None:
    _forking.acquire()
    for group in (_runners, _openers, _others):
        for thing in _members(group):
            thing.before_fork()
            _resting.append(thing)


def _members(group: "WeakSet[Forkable]") -> list[Forkable]:
    while True:
        try:
            return list(group)
        except RuntimeError:  # another thread has added one meanwhile
            continue


def _after(in_child: bool) -> None:
    # The same list as before the fork: one made in between by another thread was never at rest.
    for thing in reversed(_resting):
        thing.after_fork(in_child)
    _resting.clear()
    _forking.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(False),
        after_in_child=lambda: _after(True),
    )
