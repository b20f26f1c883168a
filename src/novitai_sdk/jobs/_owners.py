"""Tells living owners of jobs from dead ones, on the same machine, within milliseconds; and silence from a set clock.

Each owner holds a lock on a file of its own beside the store. The kernel lets go of it when the process
dies, however it dies; whoever can take the lock knows that the owner is dead. Where there are no such
locks (Windows, some network file systems) nothing is known and leases decide.
"""

import errno
import os
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from ._errors import JobRefused

if sys.platform != "win32":
    import fcntl

# Seconds: more than clocks that are brought into line slowly, and far less than a lease.
_A_JUMP: Final = 1.0

_UNSUPPORTED: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


class Steadiness:
    """Since when the wall clock has gone along with a clock that is never set.

    A wall clock that was set, or a machine that slept, ends all leases at once, before those who live could renew
    them. So from then on each of the living has one more, measured on the other clock.
    """

    def __init__(self) -> None:
        self._apart: float | None = None
        self._since = 0.0

    def grace(self, now: float, monotonic: float | None, lease: float) -> float:
        """Return for how many seconds from *now* leases of the living still count that have ended.

        Where *monotonic* is None there is nothing to measure by, and none do.
        """
        if monotonic is None:
            return 0.0
        apart = now - monotonic
        if self._apart is None or abs(apart - self._apart) > _A_JUMP:
            self._since = monotonic
        self._apart = apart
        left = self._since + lease - monotonic
        # Less than the wall clock can tell apart is over: who is to look then would look for ever.
        return left if now + left > now else 0.0


class OwnerLocks:
    """The lock files beside one store."""

    def __init__(self, store: Path) -> None:
        # Where the links lead: processes that know the file by other names must find each other.
        real = Path(os.path.realpath(store))
        self._prefix = f"{real.name}-owner-"
        self._directory = real.parent
        self._mine: dict[str, int] = {}

    @property
    def mine(self) -> frozenset[str]:
        """Owners whose lock is held here."""
        return frozenset(self._mine)

    def take(self, owner: str) -> None:
        """Show that *owner* lives, until :meth:`release` or the end of the process."""
        if owner in self._mine or sys.platform == "win32":
            return
        if not owner or not all(sign.isalnum() or sign in "-_" for sign in owner):
            raise JobRefused(f"{owner!r} is no name for a worker: letters, digits, - and _ are")
        path = self._path(owner)
        while True:
            # Close-on-exec, as all files of Python: a program started from here must not seem to be us.
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if not _lock(file, wait=True):
                os.close(file)
                return
            if _same(file, path):
                self._mine[owner] = file
                return
            os.close(
                file
            )  # somebody took it for a dead owner's between the two calls, and removed it

    def find(self, holding: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Return who of *holding* is dead, and who is alive elsewhere; remove what the dead left.

        A dead owner's file stays until its jobs are back, so that the knowledge outlives this process.
        """
        dead: set[str] = set()
        alive: set[str] = set()
        if sys.platform == "win32":
            return frozenset(), frozenset()
        for owner in self._owners():
            path = self._path(owner)
            if owner in self._mine:
                continue
            try:
                file = os.open(path, os.O_RDWR)
            except OSError:  # removed meanwhile, or another user's: its lease decides
                continue
            try:
                if not _lock(file, wait=False):
                    alive.add(owner)
                elif owner in holding:
                    dead.add(owner)
                elif _same(file, path):
                    with suppress(PermissionError):  # another user's, in a directory for all
                        path.unlink(missing_ok=True)
            finally:
                os.close(file)
        return frozenset(dead), frozenset(alive & set(holding))

    def release(self) -> None:
        """Let go of all locks and remove their files."""
        for owner, file in self._mine.items():
            self._path(owner).unlink(missing_ok=True)
            os.close(file)
        self._mine.clear()

    def forget(self) -> None:
        """Close this process's copies after a fork; the locks stay with the parent."""
        for file in self._mine.values():
            os.close(file)
        self._mine.clear()

    def _owners(self) -> list[str]:
        """Whose lock files there are."""
        try:
            names = os.listdir(self._directory)
        except OSError:  # a directory that cannot be read tells nothing
            return []
        # Not by a pattern: the name of the store may look like one.
        return [name[len(self._prefix) :] for name in names if name.startswith(self._prefix)]

    def _path(self, owner: str) -> Path:
        return self._directory / f"{self._prefix}{owner}"


def _same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _lock(file: int, *, wait: bool) -> bool:
    """Lock *file*; False when somebody else holds it, or when this file system has no locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True
