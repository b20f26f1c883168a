"""The file of a store: made or refused, opened, and what goes wrong with it in words."""

import errno
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ._errors import (
    JobError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreGone,
    StoreReadOnly,
)
from ._layout import establish
from ._place import network_disk

__all__ = ["StoreFile", "is_no_text", "is_unfit"]

_SWITCH_PAUSE: Final = 0.02

_LARGEST_WAL: Final = 8 * 1024 * 1024

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class StoreFile:
    """The file *path*, which is prepared once and then opened by each thread that uses it."""

    def __init__(
        self,
        path: Path,
        *,
        synchronous: str,
        busy_timeout: float,
        max_bytes: int | None,
        allow_network_disk: bool,
    ) -> None:
        self.path = path
        self._name = os.fspath(path)
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._max_bytes = max_bytes
        self._allow_network_disk = allow_network_disk
        self._identity: tuple[int, int] | None = None

    def prepare(self) -> None:
        """Make the file, or see that it is ours. Raises StoreError."""
        try:
            self._refuse_network()
            self._refuse_strangers()
            self._make_private()
            self._identity = self._look()
            with closing(self.connect()) as db:
                establish(db, self.path)
                self._keep_private()  # only now: a file of another program is left as it is
                self._log_ahead(db)
        except (OSError, sqlite3.Error) as error:
            raise self.translate(error) from error

    def check(self) -> None:
        """Raise StoreGone unless the file that was opened is still where it was."""
        if self._look() != self._identity:
            raise self._gone()

    def _gone(self) -> StoreGone:
        return StoreGone(
            f"{self.path} was moved, removed or replaced while it was open; nothing more is written to it: "
            "put it back with the files beside it, or open it again"
        )

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._name)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _refuse_network(self) -> None:
        found = None if self._allow_network_disk else network_disk(self.path)
        if found is not None:
            raise StoreError(_on_network(self.path, f"is on {found}"))

    def _make_private(self) -> None:
        directory = self.path.parent
        missing = [place for place in (directory, *directory.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir(mode=0o700, exist_ok=True)
        try:
            # SQLite gives the files beside it the same mode. An existing file is never opened here:
            # closing it would drop the locks that this process holds on it through SQLite.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return

    def _keep_private(self) -> None:
        """Take from others what they may do with a file of this user that was made, or changed, by other means."""
        if sys.platform == "win32":
            return
        # By name, and never opened, as above. What SQLite makes beside the file later has its mode.
        real = os.path.realpath(self._name)
        for name in (real, f"{real}-wal", f"{real}-shm"):
            with suppress(OSError):  # not there, or on a file system that knows no modes
                found = os.stat(name)
                if found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
                    os.chmod(name, stat.S_IMODE(found.st_mode) & ~_OTHERS)

    def _refuse_strangers(self) -> None:
        """Raise StoreForeign where somebody else has put a file, or a link, into a directory for all."""
        # Whoever owns one of them reads what is stored, and stores jobs for this process to do. By name, as above.
        real = os.path.realpath(self._name)
        for name in (self._name, real, *(f"{real}{end}" for end in ("-wal", "-shm", "-journal"))):
            stranger = _stranger(name)
            if stranger is not None:
                raise StoreForeign(
                    f"{name} belongs to another user (uid {stranger}), who could read what is stored and add jobs; "
                    f"{_ELSEWHERE}, or make it yours"
                )

    def _log_ahead(self, db: sqlite3.Connection) -> None:
        """Switch to the write-ahead log, in which readers and the writer do not wait for each other."""
        give_up = threading.Event()
        for _ in range(max(1, int(self._busy_timeout / _SWITCH_PAUSE))):
            try:
                (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                give_up.wait(_SWITCH_PAUSE)  # SQLite does not wait by itself for this one
                continue
            if mode != "wal":
                raise StoreError(_on_network(self.path, "cannot share memory between processes"))
            return
        raise StoreBusy(f"{self.path} is held by another process; try again")

    def connect(self) -> sqlite3.Connection:
        """Open the file; it is never made by that, since a new one in its place would hold nothing of what it held."""
        self._refuse_strangers()
        # Bytes, for a path need not be text; three slashes, for what follows two is taken for a machine.
        place = quote(os.fsencode(self.path.as_posix()).removeprefix(b"/"), safe="/:")
        # isolation_level None: transactions begin and end where it is written, not where the module guesses.
        db = sqlite3.connect(
            f"file:///{place}?mode=rw", uri=True, timeout=self._busy_timeout, isolation_level=None
        )
        try:
            db.execute(f"PRAGMA synchronous = {self._synchronous}")
            db.execute(f"PRAGMA journal_size_limit = {_LARGEST_WAL}")
            if sys.platform == "darwin":
                db.execute("PRAGMA fullfsync = ON")  # plain fsync stops at the drive's cache there
            if self._max_bytes is not None:
                (page_size,) = db.execute("PRAGMA page_size").fetchone()
                db.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // page_size)}")
        except BaseException:
            db.close()
            raise
        return db

    def translate(self, error: Exception) -> Exception:
        """Return *error* in this library's words, with what to do next."""
        if isinstance(error, JobError):
            return error
        # Between the look at it and the opening.
        if (
            "unable to open" in str(error)
            and self._identity is not None
            and self._look() != self._identity
        ):
            return _caused(self._gone(), error)
        kind, advice = _meaning(error, self.path)
        if kind is None:
            return error
        return _caused(kind(f"{self.path}: {error}; {advice}"), error)


def _stranger(name: str) -> int | None:
    """Who owns a file or a link, if neither this user, nor root, nor whoever owns the directory it lies in."""
    if sys.platform == "win32":
        return None
    try:
        owner, place = os.lstat(name).st_uid, os.stat(os.path.dirname(name)).st_uid
    except OSError:  # not there; whether it can be opened will show
        return None
    return None if owner in (os.geteuid(), 0, place) else owner


def _caused(translated: StoreError, error: Exception) -> StoreError:
    translated.__cause__ = error
    return translated


def is_unfit(error: Exception) -> bool:
    """Whether *error* tells of a value that cannot be kept, and not of a file that is in trouble."""
    # The two classes are those of a value that cannot be bound, in one version of Python or the other.
    unbound = (sqlite3.InterfaceError, sqlite3.ProgrammingError)
    return isinstance(error, unbound) or not isinstance(error, sqlite3.Error | OSError)


def is_no_text(error: Exception) -> bool:
    """Whether *error* tells of a text in the file that is not UTF-8."""
    return isinstance(error, sqlite3.OperationalError) and "decode to UTF-8" in str(error)


def _on_network(path: Path, what: str) -> str:
    return (
        f"{path} {what}, where a store can be damaged and jobs lost without a word: name a file on a disk of this "
        "machine (SqliteStore tells what allow_network_disk=True risks)"
    )


_ELSEWHERE: Final = "it was left as it is: name another file"
_WRITABLE: Final = "make it and its directory writable, or name another file"
_ROOM: Final = "make room; what was stored before is safe"
_LIMITED: Final = "raise the limit on the size of this process's files (ulimit -f); what was stored before is safe"
_HELD: Final = "another process holds it; try again"
_MEANINGS: Final[Mapping[str, tuple[type[StoreError], str]]] = {
    "is not a database": (StoreForeign, f"another program's, or damaged; {_ELSEWHERE}"),
    "malformed": (StoreCorrupt, f"damaged; {_ELSEWHERE}, or restore a copy"),
    "readonly": (StoreReadOnly, _WRITABLE),
    "is full": (StoreFull, _ROOM),
    "locked": (StoreBusy, _HELD),
    "locking protocol": (StoreBusy, _HELD),
}

# Bytes SQLite writes at once at most: the largest page, and what it says of it in the log.
_LARGEST_WRITE: Final = 65_536 + 24

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def _meaning(error: Exception, path: Path) -> tuple[type[StoreError] | None, str]:
    # By message: error codes came to this module with Python 3.11, the messages have been the same for
    # twenty years.
    if isinstance(error, sqlite3.Error):
        for fragment, (kind, advice) in _MEANINGS.items():
            if fragment in str(error):
                return kind, advice
        if "disk I/O error" in str(error) and _at_the_limit(path):
            return StoreFull, _LIMITED
        if "unable to open" in str(error) and path.is_dir():
            return StoreError, "it is a directory: name a file in it"
        if "unable to open" in str(error) and not os.access(path.parent, os.W_OK):
            return StoreReadOnly, _WRITABLE
        return StoreError, "see whether the file and its disk are in order"
    if isinstance(error, OSError):
        if error.errno in _DENIED:
            return StoreReadOnly, _WRITABLE
        if error.errno in _NO_ROOM:
            return StoreFull, _ROOM
        return StoreError, "see whether the file and its disk are in order"
    return None, ""


def _at_the_limit(path: Path) -> bool:
    """Whether a file of the store is as large as this process may make one, which SQLite takes for a broken disk."""
    if sys.platform == "win32":
        return False
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if most == resource.RLIM_INFINITY:
        return False
    # SQLite has the log beside the file, not beside a link to it.
    real = os.path.realpath(path)
    for end in ("", "-wal"):
        with suppress(OSError):
            if os.stat(f"{real}{end}").st_size + _LARGEST_WRITE > most:
                return True
    return False
