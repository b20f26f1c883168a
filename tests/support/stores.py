"""Stores in files, for as long as a test needs them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from novitai_sdk.jobs import SqliteStore

SOON = 10.0


@contextmanager
def opened(path: Path, synchronous: str = "FULL", *, within: float = SOON) -> Iterator[SqliteStore]:
    """A store on the file *path*, closed in the end *within* so many seconds."""
    store = SqliteStore(path, synchronous=synchronous)
    try:
        yield store
    finally:
        store.close(within)
