"""The layout of the file, and the check that a file has it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from ._errors import StoreForeign, StoreTooNew

APPLICATION_ID: Final = 0x4E56_4149
"""Marks the file as ours, in the field SQLite keeps for that."""

LAYOUT: Final = 3
"""The newest layout this library knows, kept in ``user_version``."""

# Layout 1. What came later stands in MIGRATIONS, and a new file goes the same way as an old one: so there is one
# way to each layout, and this text never changes.
# All indexes on jobs are partial: finished rows, the bulk of an old file, weigh nothing in them.
# A check takes the place of STRICT, which needs SQLite 3.37.
CREATE: Final = (
    """
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
        priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 4),
        attempts INTEGER NOT NULL CHECK (attempts >= 0),
        max_attempts INTEGER NOT NULL CHECK (max_attempts >= 1),
        created_at REAL NOT NULL,
        processed_at REAL,
        completed_at REAL,
        next_retry_at REAL,
        due REAL NOT NULL,
        error TEXT,
        key TEXT,
        owner TEXT,
        number INTEGER NOT NULL DEFAULT 0,
        lease_until REAL,
        CHECK ((status = 'processing') = (owner IS NOT NULL)),
        CHECK ((status = 'processing') = (lease_until IS NOT NULL))
    )
    """,
    "CREATE TABLE payloads (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)",
    "CREATE INDEX jobs_waiting ON jobs (type, priority, due) WHERE status = 'pending'",
    "CREATE INDEX jobs_held ON jobs (lease_until) WHERE status = 'processing'",
    """
    CREATE UNIQUE INDEX jobs_key ON jobs (key)
    WHERE key IS NOT NULL AND status IN ('pending', 'processing')
    """,
    "CREATE INDEX jobs_ended ON jobs (completed_at) WHERE status IN ('completed', 'failed')",
    """
    CREATE TABLE records (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE revision (value INTEGER NOT NULL)",
    "INSERT INTO revision VALUES (0)",
)


class Cursor(Protocol):
    """What a statement answers."""

    @property
    def lastrowid(self) -> int | None:
        """The row that was added."""
        ...

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """The next row, or None."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """As much of a database connection as is needed here."""

    text_factory: Any
    """What makes texts of bytes."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        """Run one statement for each row of parameters."""
        ...

    def executescript(self, sql: str, /) -> object:
        """Run statements to their end, outside a transaction."""
        ...


# Finished jobs by type and by when they ended, for each status apart: both are kept for a time of their own, and are
# counted by type without a look at the rows (8 ms for 100,000). Counters kept by triggers told it at once, but made the
# end of every job a third dearer.
_FIND_ENDED: Final = (
    "DROP INDEX jobs_ended",
    "CREATE INDEX jobs_completed ON jobs (type, completed_at) WHERE status = 'completed'",
    "CREATE INDEX jobs_failed ON jobs (type, completed_at) WHERE status = 'failed'",
)

# A short payload stands in the row itself: a second table costs each new job a second insert. A long one stays apart,
# because SQLite writes a row anew with every change of it: a job moves several times, a webhook's 256 kB never change.
_KEEP_SHORT_PAYLOADS: Final = ("ALTER TABLE jobs ADD COLUMN body TEXT",)

LONGEST_INSIDE: Final = 1000
"""Characters of JSON up to which a payload stands in the row of its job."""

# Where jobs that come one by one stand until the next transaction files them: each would touch a page of the table and
# one of each of two indexes, and a flush of three pages takes longer than that of one. There are never more than a few
# dozen, so nothing here needs an index. Rejected: a view of both tables, of which SQLite makes all for each page of a
# list.
_TAKE_IN_ARRIVALS: Final = (
    """
    CREATE TABLE arrivals (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        type TEXT NOT NULL,
        priority INTEGER NOT NULL,
        max_attempts INTEGER NOT NULL,
        created_at REAL NOT NULL,
        next_retry_at REAL,
        due REAL NOT NULL,
        body TEXT NOT NULL
    )
    """,
)

# What turns a file of layout n into one of layout n + 1, at index n - 1.
MIGRATIONS: Final[tuple[Sequence[str], ...]] = (
    (*_FIND_ENDED, *_KEEP_SHORT_PAYLOADS),
    _TAKE_IN_ARRIVALS,
)


def establish(db: Connection, path: Path) -> None:
    """Give an empty file the layout, or bring an earlier one up to date; refuse any other file.

    Nothing is written to a file that is not ours, not even for a moment.

    Raises:
        StoreForeign: The file belongs to another program.
        StoreTooNew: A later version of this library wrote it.
    """
    db.execute("BEGIN")  # one view: a file that another process is just making looks like neither
    _look(db, path)
    db.execute("ROLLBACK")
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect on an empty file only
    db.execute("BEGIN IMMEDIATE")  # fails here, and not at the first job, if the file is read-only
    layout = _look(db, path)  # again: another process may have been faster
    if layout == LAYOUT:  # nothing to write, so it can be read also where the disk is full
        db.execute("ROLLBACK")
        return
    if layout == 0:
        for statement in CREATE:
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        layout = 1
    for step in MIGRATIONS[layout - 1 :]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {LAYOUT}")
    db.execute("COMMIT")


def _look(db: Connection, path: Path) -> int:
    """Return the layout of the file, 0 for none yet."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (layout,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == layout == tables == 0:
        return 0
    if application != APPLICATION_ID or layout < 1:
        raise StoreForeign(
            f"{path} is an SQLite file of another program; it was left as it is: name another file"
        )
    if layout > LAYOUT:
        raise StoreTooNew(
            f"{path} has layout {layout}, and this version of the library knows layouts up to {LAYOUT}; "
            "it was left as it is: upgrade the library, or name another file"
        )
    return int(layout)
