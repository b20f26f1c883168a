from collections.abc import Iterator

import pytest
from faces import FACES, Face, Years

from novitai_sdk.emulator import Emulator


@pytest.fixture
def cloud() -> Iterator[Emulator]:
    with Emulator(life=0.05) as emulator:
        yield emulator


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, cloud: Emulator) -> Face:
    return Face(request.param, cloud)


@pytest.fixture
def years() -> Years:
    return Years()
