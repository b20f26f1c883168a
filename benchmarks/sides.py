"""Which queues are compared, and what the verdicts are called."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from queues import Bare, Huey, Ours, Queue
from servers import SERVER, PgQueuer, Procrastinate

# A write-ahead log that has its size is written over and not made longer, which costs a flush half.
WARM = 600

OURS, BARE = "novitai_sdk", "bare sqlite3 writer thread"
Make = Callable[[Path], Queue]


def embedded() -> dict[str, Make]:
    found: dict[str, Make] = {OURS: Ours, BARE: Bare}
    if find_spec("huey"):
        found["huey (SqliteHuey), called in threads"] = Huey
    return found


def servers() -> dict[str, Make]:
    found: dict[str, Make] = {}
    if SERVER and find_spec("procrastinate"):
        found["procrastinate (PostgreSQL)"] = Procrastinate
    if SERVER and find_spec("pgqueuer") and find_spec("asyncpg"):
        found["pgqueuer (PostgreSQL)"] = PgQueuer
    return found


def holds(promised: bool) -> str:
    return "holds" if promised else "MISSED"
