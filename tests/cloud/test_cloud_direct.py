"""What no noun covers: any route, any path, and answers as they came."""

import json
from typing import Any

import pytest
from faces import FACES, Face

from novitai_sdk import (
    CallTimedOut,
    NotFound,
    Novitai,
    RateLimit,
    RequestRefused,
    RetryPolicy,
    Secret,
    SettingsError,
    ValidationError,
)
from novitai_sdk.cloud import ClusterList, InstanceRef, Resend, Route
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.testing import MemoryNetwork, ScriptedTransport
from novitai_sdk.transport import Reply, Sync

V1 = "/gpu-instance/openapi/v1"
CLUSTERS = Route[None, ClusterList]("clusters.mine", "GET", "/clusters", None, ClusterList)
STOP = Route[InstanceRef, None](
    "instances.halt", "POST", "/gpu/instance/stop", InstanceRef, None, Resend.EFFECT_SEEN
)


@pytest.fixture(params=FACES)
def face(request: Any) -> Any:
    with Emulator() as cloud:
        yield Face(request.param, cloud)


def test_a_route_of_ones_own_is_called_like_any_other(face: Face) -> None:
    async def story(client: Any, done: Any) -> None:
        found = await done(client.cloud.call(CLUSTERS))
        assert isinstance(found, ClusterList)
        assert found.items == await done(client.cloud.clusters.list())
        with pytest.raises(NotFound) as caught:
            await done(client.cloud.call(STOP, InstanceRef(instance_id="nobody"), timeout=5.0))
        assert caught.value.operation == "instances.halt"

    face.tell(story)


def test_any_path_can_be_asked_and_answers_json(face: Face) -> None:
    async def story(client: Any, done: Any) -> None:
        found = await done(client.cloud.request("GET", f"{V1}/products", query={"gpuNum": 2}))
        assert found["data"]
        with pytest.raises(NotFound) as caught:
            await done(
                client.cloud.request("POST", f"{V1}/gpu/instance/stop", body={"instanceId": "x"})
            )
        assert caught.value.operation == f"POST {V1}/gpu/instance/stop"

    face.tell(story)


def test_an_answer_can_be_had_as_it_came(face: Face) -> None:
    async def story(client: Any, done: Any) -> None:
        found = await done(client.cloud.raw.call(CLUSTERS))
        assert (found.status, len(found.attempts)) == (200, 1)
        assert found.headers["content-type"].startswith("application/json")
        assert json.loads(found.body) == found.json()
        found = await done(client.cloud.raw.request("GET", f"{V1}/nothing/here"))
        assert found.status == 404

    face.tell(story)


def test_what_is_tried_again_is_for_the_caller_to_say() -> None:
    cloud = Emulator(api_key="k")
    told: list[Any] = []
    with client_of(cloud, on_attempt=told.append) as client:
        for method, path, resend, tries in (
            ("GET", "/clusters", None, 2),
            ("GET", "/clusters", Resend.NEVER, 1),
            ("POST", "/gpu/instance/stop", None, 1),
            ("POST", "/gpu/instance/stop", Resend.EFFECT_SEEN, 2),
        ):
            told.clear()
            cloud.order(faults.server_error(status=503))
            client.cloud.raw.request(method, V1 + path, resend=resend)
            assert len(told) == tries


def client_of(cloud: Emulator, **options: Any) -> Any:
    return Novitai(
        api_key="k",
        network=MemoryNetwork(cloud),
        store="memory",
        retry=RetryPolicy(first_wait=0.0),
        **options,
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "clusters",
        "@evil.test/",
        ".evil.test/",
        "//a b",
        "/a?b=1",
        "/a#b",
        "/\\evil",
        "/ü",
        "/a\r\nHost: b",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused_before_anything_is_sent(path: str) -> None:
    cloud = Emulator(api_key="k")
    told: list[Any] = []
    with client_of(cloud, on_attempt=told.append) as client:
        for ask in (client.cloud.request, client.cloud.raw.request):
            with pytest.raises(ValidationError) as caught:
                ask("STEAL", path)
            assert [one.field for one in caught.value.details] == ["method", "path"]
    assert told == []


@pytest.mark.parametrize(
    "path", ["@evil.test/x", ".evil.test/", "x", "/a\r\nHost: b", "/ü", "/a?b=1", "/\\evil", None]
)
def test_a_route_that_could_lead_elsewhere_cannot_be_made(path: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Route[None, ClusterList]("clusters.mine", "GET", path, None, None, prefix="")
    assert [one.field for one in caught.value.details] == ["path"]
    with pytest.raises(ValidationError) as caught:
        Route[None, ClusterList]("clusters.mine", "STEAL", "/x", None, None)  # type: ignore[arg-type]  # that is the test
    assert [one.field for one in caught.value.details] == ["method"]
    with pytest.raises(ValidationError):
        Route[None, ClusterList]("clusters.mine", "GET", "/x", None, None, prefix="@evil.test")


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"body": {"a": float("nan")}}, "body"),
        ({"body": {"a": Secret("hush-secret-text")}}, "body"),
        ({"body": CIRCLE}, "body"),
        ({"query": {"a": {"b": 1}}}, "query.a"),
        ({"query": {"a": [1, None]}}, "query.a"),
        ({"query": {"a": Secret("hush-secret-text")}}, "query.a"),
        ({"query": {"a": "\ud800"}}, "query"),
        ({"query": "a=1"}, "query"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_sent(given: Any, field: str) -> None:
    told: list[Any] = []
    with client_of(Emulator(api_key="k"), on_attempt=told.append) as client:
        for ask in (client.cloud.request, client.cloud.raw.request):
            with pytest.raises(ValidationError) as caught:
                ask("POST", "/a", **given)
            assert [one.field for one in caught.value.details] == [field]
            assert "hush" not in str(caught.value)
    assert told == []


def test_a_query_leaves_out_what_is_none_and_writes_lists_with_commas() -> None:
    transport = ScriptedTransport(Sync, [Reply(status=200)] * 2)
    with Novitai(api_key="k", transport=transport, store="memory") as client:
        client.cloud.request("GET", "/a", query={"a": None, "b": [1, "x", True], "c": False})
        client.cloud.request("GET", "/a", query={"a": None})
    asked = [one.url.partition("novita.ai/a")[2] for one in transport.requests]
    assert asked == ["?b=1%2Cx%2Ctrue&c=false", ""]


def test_a_refusal_is_raised_as_what_it_is() -> None:
    with client_of(Emulator(api_key="k")) as client, pytest.raises(RequestRefused):
        client.cloud.request("POST", f"{V1}/gpu/instance/create", body={"name": 5})


def test_a_sibling_has_hooks_of_its_own() -> None:
    cloud = Emulator(api_key="k")
    told: list[Any] = []
    with client_of(cloud) as client:
        client.using(on_attempt=told.append).cloud.clusters.list()
        client.cloud.clusters.list()
        assert [one.operation for one in told] == ["clusters.list"]
        assert client.using(on_attempt=(told.append, print)).settings.on_attempt == (
            told.append,
            print,
        )


def test_a_call_may_have_limits_of_its_own() -> None:
    cloud = Emulator(api_key="k")
    told: list[Any] = []
    with client_of(cloud, on_attempt=told.append) as client:
        cloud.order(faults.server_error(status=503))
        assert client.cloud.raw.call(CLUSTERS, retry=RetryPolicy(attempts=1)).status == 503
        slow = RateLimit(calls=1, seconds=3600.0, burst=1)
        client.cloud.call(CLUSTERS, rate_limit=slow)
        with pytest.raises(CallTimedOut, match="rate limit"):
            client.cloud.request("GET", f"{V1}/clusters", rate_limit=slow, timeout=2)
        client.cloud.call(CLUSTERS, rate_limit=None, circuit_breaker=None)
        assert [one.number for one in told] == [1, 1, 1]
        with pytest.raises(SettingsError, match="timeout must be"):
            client.cloud.call(CLUSTERS, timeout=-1)
        with pytest.raises(TypeError, match=r"calls can be given timeout, .* not store"):
            client.cloud.raw.request("GET", "/x", store="memory")
