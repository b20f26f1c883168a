"""A clock in the hand, and a cloud on it."""

from typing import Any

import pytest

from novitai_sdk.emulator import Emulator

UPGRADE: dict[str, Any] = {
    "imageUrl": "a/b:2",
    "envs": [],
    "command": "",
    "entrypoint": "",
    "save": True,
    "networkVolume": {"volumeMounts": []},
}


class HandClock:
    """Time stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_767_225_600.0 + self.now


class Hand:
    """An emulated cloud in memory, asked in few words."""

    def __init__(self, **options: Any) -> None:
        self.clock = HandClock()
        self.cloud = Emulator(api_key="emulator-key", clock=self.clock, **options)

    def create(self, **changes: Any) -> str:
        """Create an instance and return its id."""
        answer = self.cloud.post("/gpu/instance/create", body(**changes))
        assert answer.status == 200, answer.body
        made: str = answer.json()["id"]
        return made

    def get(self, instance_id: str) -> Any:
        """Return the record of an instance."""
        return self.cloud.get(f"/gpu/instance?instanceId={instance_id}").json()

    def act(self, action: str, instance_id: str) -> Any:
        """Do something to an instance and return the answer."""
        more = UPGRADE if action == "upgrade" else {}
        return self.cloud.post(f"/gpu/instance/{action}", {"instanceId": instance_id, **more})

    def status(self, instance_id: str) -> str:
        """Return the status of an instance."""
        found: str = self.get(instance_id)["status"]
        return found

    def statuses(self, instance_id: str, *, steps: int = 100, step: float = 0.01) -> list[str]:
        """Move the clock in small steps and return the statuses that were met, in order."""
        seen = [self.status(instance_id)]
        for _ in range(steps):
            self.clock.now += step
            answer = self.cloud.get(f"/gpu/instance?instanceId={instance_id}")
            status = answer.json().get("status", "404")
            if status != seen[-1]:
                seen.append(status)
        return seen


def body(**changes: Any) -> dict[str, Any]:
    """Return a body that creates an instance; a field set to None is left out."""
    asked = {
        "name": "demo",
        "productId": "4090.16c62g",
        "gpuNum": 1,
        "rootfsSize": 60,
        "imageUrl": "a/b:1",
        "kind": "gpu",
        "clusterId": "us-west-1",
        **changes,
    }
    return {name: value for name, value in asked.items() if value is not None}


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture(name="make_hand", scope="session")
def hand_class() -> type[Hand]:
    return Hand


@pytest.fixture(name="body", scope="session")
def make_body() -> Any:
    return body
