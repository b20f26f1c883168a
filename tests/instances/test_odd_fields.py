"""A cloud that writes a field in a way nobody can read: machines are found, rented and given back all the same."""

import json
from collections.abc import Iterator, Mapping

import pytest
from faces import WANTED

from novitai_sdk import InstanceStatus, Novitai
from novitai_sdk.emulator import Emulator
from novitai_sdk.testing import MemoryNetwork

LEAVING = {"toRemove", "removing", "removed", "(gone)"}
ODD = {"volumeMounts": [{"type": "local", "size": "60GB"}], "spotReclaimTime": "soon"}
THEIRS = {
    "name": "theirs", "productId": "4090.16c62g", "gpuNum": 1, "rootfsSize": 60, "imageUrl": "a/b:1",
}  # fmt: skip
Answer = tuple[int, dict[str, str], bytes]


class Odd:
    """A cloud whose records of machines have odd fields."""

    def __init__(self, cloud: Emulator) -> None:
        self.cloud = cloud

    def handle(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        status, answered, content = self.cloud.handle(method, path, headers, body)
        if method == "GET" and "/gpu/instance" in path and status == 200:
            found = json.loads(content)
            for one in found.get("instances", [found]):
                one.update(ODD)
            content = json.dumps(found).encode()
        return status, answered, content


@pytest.fixture
def cloud() -> Emulator:
    made = Emulator(life=0.05)
    made.post("/gpu/instance/create", THEIRS)
    return made


@pytest.fixture
def client(cloud: Emulator) -> Iterator[Novitai]:
    with opened(cloud) as one:
        yield one


def opened(cloud: Emulator) -> Novitai:
    return Novitai(
        api_key=cloud.api_key, network=MemoryNetwork(Odd(cloud)), store="memory", poll_interval=0.01
    )


def test_a_machine_with_an_odd_field_is_rented_and_given_back(client: Novitai, cloud: Emulator):
    with client.instances.rent(**WANTED, timeout=30) as instance:
        assert instance.status is InstanceStatus.RUNNING
    assert {one.status for one in cloud.instances if one.name == WANTED["name"]} <= LEAVING
    assert {(one.model, one.field) for one in client.drift()} == {
        ("VolumeMount", "size"),
        ("Instance", "spotReclaimTime"),
    }


def test_machines_beside_it_are_listed_and_deleted_by_whoever_has_their_id(
    client: Novitai, cloud: Emulator
):
    made = client.instances.create(**WANTED).wait_until_ready(timeout=30)
    assert [one.id for one in client.instances.list()] == [made.id]
    assert len(client.instances.list(include_unmanaged=True)) == 2
    with opened(cloud) as other:
        other.instances.delete(made.id)
    assert {one.status for one in cloud.instances if one.name == WANTED["name"]} <= LEAVING
