import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faces import FACES, Face

from novitai_sdk import AsyncNovitai, Novitai
from novitai_sdk.emulator import Emulator


@pytest.fixture
def cloud() -> Iterator[Emulator]:
    with Emulator(life=0.05) as emulator:
        yield emulator


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, cloud: Emulator) -> Face:
    return Face(request.param, cloud)


@pytest.fixture
def options(cloud: Emulator) -> dict[str, Any]:
    """What every client of these tests is told: where the cloud is, and to keep nothing."""
    return {
        "api_key": cloud.api_key,
        "base_url": cloud.base_url,
        "store": "memory",
        "poll_interval": 0.01,
    }


@pytest.fixture
def new(options: dict[str, Any]) -> Iterator[Callable[..., Novitai]]:
    """Makes plain clients, and closes them after the test."""
    made: list[Novitai] = []

    def make(**others: Any) -> Novitai:
        made.append(Novitai(**{**options, **others}))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def new_async(options: dict[str, Any]) -> Callable[..., AsyncNovitai]:
    """Makes awaiting clients; the test closes them."""
    return lambda **others: AsyncNovitai(**{**options, **others})


def own_threads() -> list[str]:
    """The threads of the library, without those of the emulator."""
    return sorted(one.name for one in threading.enumerate() if one.name.startswith("novitai"))


@pytest.fixture
def threads() -> Callable[[], list[str]]:
    return own_threads


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def settles() -> Callable[..., None]:
    """Waits until threads and descriptors are back where they were; the emulator ends its own a moment later."""
    before = threading.active_count(), _descriptors() if Path("/proc/self/fd").is_dir() else 0

    def settled(spare: int = 0) -> None:
        now = before
        for _ in range(300):
            now = threading.active_count(), _descriptors() if before[1] else 0
            if all(a <= b + spare for a, b in zip(now, before, strict=True)):
                return
            time.sleep(0.01)
        pytest.fail(f"threads and descriptors were {before} and are {now}")

    return settled
