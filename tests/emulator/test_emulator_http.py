"""The emulator over real sockets, with clients that are not ours and clients that misbehave."""

import gc
import http.client
import json
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from novitai_sdk.emulator import Emulator, faults

PREFIX = "/gpu-instance/openapi/v1"
KEY = {"Authorization": "Bearer emulator-key", "Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def cloud() -> Iterator[Emulator]:
    with Emulator(api_key="emulator-key", life=0.0) as cloud:
        yield cloud


@pytest.fixture
def client(cloud: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=cloud.base_url + PREFIX, headers=KEY, trust_env=False, timeout=10
    ) as client:
        yield client


def port_of(cloud: Emulator) -> int:
    return int(cloud.base_url.rpartition(":")[2])


def send(cloud: Emulator, raw: bytes, *, half_close: bool = True) -> bytes:
    """Send bytes on a connection of their own and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port_of(cloud)), timeout=10) as wire:
        try:
            wire.sendall(raw)
            if half_close:
                wire.shutdown(socket.SHUT_WR)
        except OSError:  # it hung up before it had heard everything, which it may
            pass
        return b"".join(iter(lambda: receive(wire), b""))


def receive(wire: socket.socket) -> bytes:
    try:
        return wire.recv(65536)
    except ConnectionResetError:
        return b""


def parse(reply: bytes) -> tuple[int, Any]:
    head, _, body = reply.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)


# -- ordinary clients --------------------------------------------------------------------------------


def test_a_life_over_http(client: httpx.Client, body: Any) -> None:
    made = client.post("/gpu/instance/create", json=body(ports="80/http"))
    assert made.status_code == 200
    assert made.headers["content-type"] == "application/json"
    one = {"instanceId": made.json()["id"]}
    assert client.get("/gpu/instance", params=one).json()["status"] == "running"
    assert client.post("/gpu/instance/stop", json=one).json()["state"] == "toStop"
    assert client.post("/gpu/instance/delete", json=one).content == b""
    assert client.get("/gpu/instance", params=one).status_code == 404


def test_the_address_is_scheme_host_and_port(cloud: Emulator) -> None:
    assert cloud.base_url == f"http://127.0.0.1:{port_of(cloud)}"


def test_a_connection_is_kept_alive(cloud: Emulator) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(cloud), timeout=10)) as wire:
        for path, status in (("/clusters", 200), ("/nowhere", 404), ("/products", 200)):
            wire.request("GET", PREFIX + path, headers=KEY)
            reply = wire.getresponse()
            assert reply.read()
            assert reply.status == status
            sock = wire.sock
            assert sock is not None
        wire.request("POST", f"{PREFIX}/gpu/instance/create", body=b"not json", headers=KEY)
        assert wire.getresponse().read()
        assert wire.sock is sock


def test_a_client_that_does_not_keep_alive_is_let_go(cloud: Emulator) -> None:
    for request in (
        f"GET {PREFIX}/clusters HTTP/1.0\r\nauthorization: Bearer emulator-key\r\n\r\n",
        f"GET {PREFIX}/clusters HTTP/1.1\r\nAUTHORIZATION: bearer emulator-key\r\nConnection: close\r\n\r\n",
    ):
        reply = send(cloud, request.encode(), half_close=False)
        assert parse(reply)[0] == 200
        assert b"connection: close" in reply.lower()


def test_a_client_may_wait_for_100_continue(cloud: Emulator, body: Any) -> None:
    content = json.dumps(body()).encode()
    head = (
        f"POST {PREFIX}/gpu/instance/create HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer emulator-key\r\n"
        f"Expect: 100-continue\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port_of(cloud)), timeout=10) as wire:
        wire.sendall(head.encode())
        assert wire.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(content)
        assert parse(b"".join(iter(lambda: wire.recv(65536), b"")))[0] == 200


def test_a_body_may_come_in_chunks(client: httpx.Client, body: Any) -> None:
    content = json.dumps(body(name="chunked")).encode()

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(content), 7):
            yield content[start : start + 7]

    made = client.post("/gpu/instance/create", content=chunks())
    assert "content-length" not in made.request.headers
    record = client.get("/gpu/instance", params={"instanceId": made.json()["id"]}).json()
    assert record["name"] == "chunked"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_methods_the_api_does_not_use_are_unknown_routes(client: httpx.Client, method: str) -> None:
    reply = client.request(method, "/gpu/instances")
    assert reply.status_code == 404
    assert (reply.content == b"") is (method == "HEAD")


def test_many_clients_at_once(cloud: Emulator, body: Any) -> None:
    def create(number: int) -> str:
        reply = httpx.post(
            cloud.base_url + PREFIX + "/gpu/instance/create",
            json=body(name=f"n{number}", clusterId=None),
            headers=KEY,
            trust_env=False,
            timeout=30,
        )
        made: str = reply.json()["id"]
        return made

    with ThreadPoolExecutor(32) as pool:
        made = set(pool.map(create, range(96)))
    assert len(made) == 96
    assert {one.id for one in cloud.instances} == made


# -- clients that misbehave --------------------------------------------------------------------------

CREATE = f"POST {PREFIX}/gpu/instance/create HTTP/1.1\r\nAuthorization: Bearer emulator-key\r\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/x\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"BREW /pot HTTP/1.1\r\n\r\n", 501),
        (f"{CREATE}Content-Length: ten\r\n\r\n".encode(), 400),
        (f"{CREATE}Content-Length: -1\r\n\r\n".encode(), 400),
        (f"{CREATE}Content-Length: 10\r\n\r\nabc".encode(), 400),
        (f"{CREATE}Content-Length: 9999999\r\n\r\nabc".encode(), 413),
        (f"{CREATE}Transfer-Encoding: gzip\r\n\r\n".encode(), 400),
        (f"{CREATE}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc".encode(), 400),
        (f"{CREATE}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(), 400),
        (f"{CREATE}Transfer-Encoding: chunked\r\n\r\n-1\r\n".encode(), 400),
        (f"{CREATE}Transfer-Encoding: chunked\r\n\r\n0x1\r\na".encode(), 400),
        (f"{CREATE}Transfer-Encoding: chunked\r\n\r\n5\r\nabc".encode(), 400),
        (f"{CREATE}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n".encode(), 400),
        (f"{CREATE}Transfer-Encoding: chunked\r\n\r\n0\r\n".encode() + b"A: b\r\n" * 200, 400),
        (f"{CREATE}Transfer-Encoding: chunked\r\n\r\nffffffff\r\nabc".encode(), 413),
    ],
)
def test_what_is_not_http_gets_an_error_body_and_no_second_chance(
    cloud: Emulator, raw: bytes, status: int
) -> None:
    reply = send(cloud, raw)
    found, fields = parse(reply)
    assert found == status
    assert (fields["code"], set(fields)) == (status, {"code", "reason", "message", "metadata"})
    assert b"connection: close" in reply.lower()
    assert cloud.instances == ()


def test_a_body_that_is_too_large_is_refused_in_a_way_the_client_can_read(
    client: httpx.Client,
) -> None:
    reply = client.post("/gpu/instance/create", content=b" " * 3_000_000)
    assert reply.status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"gpuNum": NaN}',
        b"[" * 100_000,
        b'{"gpuNum": 1' + b"0" * 5000 + b"}",
        b'{"name": "\\ud800"}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_a_400(
    client: httpx.Client, content: bytes
) -> None:
    reply = client.post("/gpu/instance/create", content=content)
    assert reply.status_code == 400
    assert reply.json()["reason"] in ("REQUEST", "VALIDATOR_PARAM")


METHODS = ["GET", "POST", "PUT", "BREW", "get", ""]
PATHS = [f"{PREFIX}/gpu/instance/create", f"{PREFIX}/gpu/instances", f"{PREFIX}/products", "/", "*"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
FIELDS = [
    "name",
    "productId",
    "gpuNum",
    "envs",
    "ports",
    "tools",
    "imageUrl",
    "instanceId",
    "month",
]


@pytest.fixture(scope="module")
def sturdy() -> Iterator[Emulator]:
    with Emulator(api_key="emulator-key", life=0.0) as cloud:
        yield cloud


@settings(max_examples=150)
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from(PATHS) | st.text().map(lambda text: PREFIX + "/" + text),
    query=st.dictionaries(
        st.sampled_from(["pageSize", "pageNum", "status"]) | st.text(), st.text(), max_size=4
    ),
    content=st.binary()
    | st.dictionaries(st.sampled_from(FIELDS), JSON).map(lambda one: json.dumps(one).encode()),
)
@example(method="POST", path=PATHS[0], query={}, content=b'{"envs": [null], "gpuNum": Infinity}')
def test_garbage_in_memory_ends_in_an_answer_of_the_api(
    sturdy: Emulator, method: str, path: str, query: dict[str, str], content: bytes
) -> None:
    target = path + "?" + "&".join(f"{name}={value}" for name, value in query.items())
    status, headers, body = sturdy.handle(method, target, KEY, content)
    assert status in (200, 400, 404)
    assert headers["content-type"] == "application/json"
    if status != 200:
        assert set(json.loads(body)) == {"code", "reason", "message", "metadata"}


@settings(max_examples=100)
@given(
    raw=st.binary(min_size=1, max_size=400)
    | st.text(max_size=200).map(lambda text: (CREATE + text).encode())
)
@example(raw=b"\r\n")
@example(raw=b"GET /\r\n\r\n")
@example(raw=b"POST /\r\n\r\n")
def test_garbage_on_the_wire_never_kills_the_server(sturdy: Emulator, raw: bytes) -> None:
    send(sturdy, raw)
    reply = httpx.get(
        sturdy.base_url + PREFIX + "/clusters", headers=KEY, trust_env=False, timeout=10
    )
    assert reply.status_code == 200


# -- faults on the wire --------------------------------------------------------------------------------


def test_a_dropped_connection_is_seen_as_one(
    cloud: Emulator, client: httpx.Client, body: Any
) -> None:
    cloud.order(faults.dropped("instances.create"), faults.no_answer())
    for expected in (0, 1):
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
            client.post("/gpu/instance/create", json=body())
        assert len(cloud.instances) == expected


def test_a_truncated_reply_promises_more_than_it_sends(
    cloud: Emulator, client: httpx.Client
) -> None:
    cloud.order(faults.truncated_reply("clusters.list", keep=5))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        client.get("/clusters")
    assert client.get("/clusters").status_code == 200


def test_html_and_emptiness_arrive_as_such(cloud: Emulator, client: httpx.Client) -> None:
    cloud.order(faults.html_reply(), faults.empty_reply(), faults.rate_limited(retry_after=3))
    page, empty, limited = (client.get("/clusters") for _ in range(3))
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert (empty.status_code, empty.content) == (200, b"")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")


def test_a_slow_reply_does_not_hold_up_others_nor_the_end(body: Any) -> None:
    with Emulator(api_key="emulator-key") as cloud:
        cloud.order(faults.slow("clusters.list", seconds=60))
        with httpx.Client(base_url=cloud.base_url + PREFIX, headers=KEY, trust_env=False) as client:
            with pytest.raises(httpx.ReadTimeout):
                client.get("/clusters", timeout=0.05)
            assert client.get("/clusters").status_code == 200
        began = time.monotonic()
    assert time.monotonic() - began < 5


# -- what is left behind -------------------------------------------------------------------------------


def test_closing_leaves_no_thread_and_no_socket() -> None:
    before = set(threading.enumerate())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Emulator(api_key="emulator-key") as cloud:
            idle = [
                socket.create_connection(("127.0.0.1", port_of(cloud)), timeout=10)
                for _ in range(5)
            ]
            idle[0].sendall(f"GET {PREFIX}/clusters HTTP/1.1\r\n".encode())
            with httpx.Client(
                base_url=cloud.base_url + PREFIX, headers=KEY, trust_env=False
            ) as client:
                client.get("/clusters")
        assert set(threading.enumerate()) == before
        assert [wire.recv(1) for wire in idle] == [b""] * 5
        for wire in idle:
            wire.close()
        del cloud
        gc.collect()
    assert not [one for one in caught if issubclass(one.category, ResourceWarning)]


def test_in_memory_there_is_no_thread_and_no_address() -> None:
    before = set(threading.enumerate())
    cloud = Emulator(api_key="emulator-key")
    assert cloud.get("/clusters").status == 200
    assert set(threading.enumerate()) == before
    assert cloud.base_url == "https://emulator.invalid"
    cloud.close()


def test_closing_twice_is_closing_and_serving_again_is_possible() -> None:
    cloud = Emulator(api_key="emulator-key", life=0)
    for _ in range(2):
        with cloud:
            cloud.serve()
            url = cloud.base_url + PREFIX
            assert httpx.get(f"{url}/clusters", headers=KEY, trust_env=False).status_code == 200
        cloud.close()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/clusters", headers=KEY, trust_env=False)


def test_it_serves_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback"):
        Emulator(api_key="emulator-key", host="0.0.0.0").serve()


def test_a_taken_port_is_an_error(cloud: Emulator) -> None:
    other = Emulator(api_key="emulator-key", port=port_of(cloud))
    with pytest.raises(OSError, match="in use"):
        other.serve()
    other.close()


def test_it_serves_on_the_other_loopback_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Emulator(api_key="emulator-key", host="::1") as cloud:
        assert cloud.base_url.startswith("http://[::1]:")
        reply = httpx.get(cloud.base_url + PREFIX + "/clusters", headers=KEY, trust_env=False)
    assert reply.status_code == 200


def test_it_says_where_it_is(cloud: Emulator) -> None:
    assert cloud.base_url in repr(cloud)
    assert cloud.api_key not in repr(cloud)
