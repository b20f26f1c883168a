"""The documented bodies, typed at a shell: curl against the emulator, with nothing of this library between."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from novitai_sdk.emulator import Emulator
from novitai_sdk.testing import ManualClock

if shutil.which("curl") is None:
    pytest.skip("no curl on this machine", allow_module_level=True)

Call = Callable[..., tuple[int, Any]]
PATH = "/gpu-instance/openapi/v1"

CREATE = """{
  "name": "by hand",
  "productId": "4090.16c62g",
  "gpuNum": 1,
  "rootfsSize": 60,
  "imageUrl": "docker.io/library/ubuntu:24.04",
  "imageAuth": "",
  "ports": "8080/http, 22/tcp",
  "envs": [{"key": "MODE", "value": "test"}],
  "tools": [{"name": "Jupyter", "port": "8888", "type": "http"}],
  "command": "",
  "clusterId": "",
  "networkStorages": [],
  "kind": "gpu"
}"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def call(clock: ManualClock) -> Iterator[Call]:
    with Emulator(clock=clock) as cloud:

        def curl(
            method: str, path: str, body: str | None = None, *, key: str = cloud.api_key
        ) -> tuple[int, Any]:
            answered = subprocess.run(
                [
                    *("curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"),
                    *("--request", method, "--write-out", "\\n%{http_code}"),
                    *("--header", f"Authorization: Bearer {key}"),
                    *("--header", "Content-Type: application/json"),
                    *(("--data", body) if body is not None else ()),
                    cloud.base_url + PATH + path,
                ],
                capture_output=True,
                check=True,
                text=True,
            ).stdout
            text, _, status = answered.rpartition("\n")
            return int(status), json.loads(text) if text else None

        yield curl


def test_a_machine_from_create_to_delete(call, clock):
    status, made = call("POST", "/gpu/instance/create", CREATE)
    assert status == 200
    name = f'{{"instanceId": "{made["id"]}"}}'
    clock.advance(3600)
    status, found = call("GET", f"/gpu/instance?instanceId={made['id']}")
    assert (status, found["status"], found["name"]) == (200, "running", "by hand")
    assert {port["port"] for port in found["portMappings"]} >= {8080, 22}
    assert call("POST", "/gpu/instance/stop", name)[0] == 200
    clock.advance(3600)
    status, listed = call("GET", "/gpu/instances?pageSize=10&pageNum=0&name=hand")
    assert (status, [one["status"] for one in listed["instances"]]) == (200, ["exited"])
    assert call("POST", "/gpu/instance/start", name)[0] == 200
    clock.advance(3600)
    assert call("POST", "/gpu/instance/restart", name)[0] == 200
    clock.advance(3600)
    assert call("POST", "/gpu/instance/delete", name)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/products",
        "/products?clusterId=&gpuNum=1&productName=4090",
        "/cpu/products",
        "/clusters",
        "/templates?pageSize=10&pageNum=1&channel=official",
        "/template?templateId=tf-training-template-1",
        "/repository/auths",
        "/networks?pageSize=10&pageNum=1",
        "/networkstorages/list?pageSize=10&pageNo=1",
        "/jobs?pageSize=10&pageNum=1",
    ],
)
def test_what_can_be_read_is_read(call, path):
    status, found = call("GET", path)
    assert status == 200, found
    assert isinstance(found, dict)


def test_what_is_wrong_is_refused_in_the_apis_own_words(call):
    status, said = call("POST", "/gpu/instance/create", CREATE.replace("22/tcp", "2222/tcp"))
    assert status == 400
    assert {"code", "reason", "message", "metadata"} <= said.keys()
    assert call("GET", "/gpu/instance?instanceId=none-such")[0] == 404
    assert call("GET", "/products", key="wrong")[0] == 401
    assert call("POST", "/gpu/instance/create", "{")[0] == 400
