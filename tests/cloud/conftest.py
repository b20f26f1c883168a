"""A cloud over real sockets whose clock is held in the hand, and stories told on every face of a client."""

from collections.abc import Iterator
from typing import Any

import pytest
from faces import Face

from novitai_sdk import RetryPolicy
from novitai_sdk.emulator import Emulator
from novitai_sdk.testing import ManualClock


class Told:
    """Tells stories of ``client.cloud`` on one face."""

    def __init__(self, face: str) -> None:
        self.face = face
        self.clock = ManualClock()
        self.emulator = Emulator(clock=self.clock)

    def build(self, **options: Any) -> None:
        """Start again with another emulator."""
        self.emulator.close()
        self.emulator = Emulator(clock=self.clock, **options)

    def tell(self, story: Any) -> Any:
        """Tell *story* of ``client.cloud`` and ``done``."""

        async def of_the_cloud(client: Any, done: Any) -> Any:
            return await story(client.cloud, done)

        self.emulator.serve()
        return Face(self.face, self.emulator).tell(of_the_cloud, retry=RetryPolicy(attempts=1))

    def rented(self, **changes: Any) -> str:
        """Return the id of an instance that runs."""
        body = {
            "name": "demo", "productId": "4090.16c62g", "gpuNum": 1, "rootfsSize": 60, "imageUrl": "a/b:1",
            "kind": "gpu", "clusterId": "us-west-1", **changes,
        }  # fmt: skip
        answer = self.emulator.post("/gpu/instance/create", body)
        assert answer.status == 200, answer.body
        self.clock.advance(1)
        made: str = answer.json()["id"]
        return made

    def stopped(self, **changes: Any) -> str:
        """Return the id of an instance that was stopped."""
        made = self.rented(**changes)
        self.emulator.post("/gpu/instance/stop", {"instanceId": made})
        self.clock.advance(1)
        return made


@pytest.fixture(params=["plain", "asyncio", "trio"])
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    one = Told(request.param)
    yield one
    one.emulator.close()
