"""Both stores, and a clock that moves only when it is told to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from novitai_sdk.jobs import MemoryStore, SqliteStore, Store

BEGIN = 1_700_000_000.0


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = (
        MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "jobs.db")
    )
    yield opened
    opened.close(5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"
