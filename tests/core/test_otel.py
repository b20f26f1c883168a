"""What OpenTelemetry is told, by its conventions for HTTP clients."""

import threading
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from novitai_sdk import AsyncNovitai, Attempt, NotFound, Novitai, RetryPolicy, TransportFailed
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.otel import Telemetry
from novitai_sdk.testing import MemoryNetwork

V1 = "/gpu-instance/openapi/v1"


class Watched:
    """Providers that keep what they are told."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.reader = InMemoryMetricReader()
        self.hook = Telemetry(
            tracer_provider=self.tracers, meter_provider=MeterProvider([self.reader])
        )

    def points(self) -> list[Any]:
        data: Any = self.reader.get_metrics_data()
        [metric] = data.resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.unit) == ("http.client.request.duration", "s")
        return list(metric.data.data_points)


def client_of(watched: Watched, cloud: Emulator, **options: Any) -> Novitai:
    return Novitai(
        api_key="k",
        network=MemoryNetwork(cloud),
        store="memory",
        on_attempt=watched.hook,
        retry=RetryPolicy(first_wait=0.0),
        **options,
    )


def test_a_call_is_a_client_span_with_the_words_of_the_conventions() -> None:
    watched = Watched()
    with client_of(watched, Emulator(api_key="k")) as client:
        client.cloud.clusters.list()
    [span] = watched.spans.get_finished_spans()
    assert (span.name, span.kind) == (f"GET {V1}/clusters", SpanKind.CLIENT)
    assert span.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "api.novita.ai",
        "server.port": 443,
        "url.scheme": "https",
        "url.full": f"https://api.novita.ai{V1}/clusters",
        "url.template": f"{V1}/clusters",
        "novitai.operation": "clusters.list",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "novitai_sdk"


def test_a_refusal_and_a_retry_say_so() -> None:
    watched, cloud = Watched(), Emulator(api_key="k")
    with client_of(watched, cloud) as client:
        cloud.order(faults.server_error(status=503))
        with pytest.raises(NotFound):
            client.cloud.instances.stop("nobody")
    first, second = watched.spans.get_finished_spans()
    assert first.attributes is not None
    assert second.attributes is not None
    assert first.attributes["error.type"] == "503"
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert second.attributes["error.type"] == str(second.attributes["http.response.status_code"])
    for span in (first, second):
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)


def test_what_never_arrived_is_told_by_its_fault() -> None:
    watched, cloud = Watched(), Emulator(api_key="k")
    with client_of(watched, cloud) as client:
        cloud.order(faults.dropped())
        with pytest.raises(TransportFailed):
            client.using(retry=RetryPolicy(attempts=1)).cloud.clusters.list()
    [span] = watched.spans.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "TransportFailed"
    assert "http.response.status_code" not in span.attributes
    assert span.status.description is not None
    assert "the connection broke" in span.status.description


def test_a_path_of_ones_own_makes_no_name() -> None:
    watched = Watched()
    with client_of(watched, Emulator(api_key="k")) as client:
        client.cloud.request("GET", f"{V1}/clusters")
    [span] = watched.spans.get_finished_spans()
    assert span.name == "GET"
    assert span.attributes is not None
    assert "url.template" not in span.attributes


def test_times_are_those_of_the_try() -> None:
    watched = Watched()
    watched.hook(
        Attempt(number=1, operation="a.b", method="GET", url="http://h.test:81/x", started=5.0,
                seconds=0.25, status=200, request_id="r-1")
    )  # fmt: skip
    [span] = watched.spans.get_finished_spans()
    assert (span.start_time, span.end_time) == (5_000_000_000, 5_250_000_000)
    assert span.attributes is not None
    assert span.attributes["server.port"] == 81
    assert span.attributes["novitai.request_id"] == "r-1"
    [point] = watched.points()
    assert (point.count, point.sum) == (1, 0.25)
    assert point.explicit_bounds[0] == 0.005
    assert "url.full" not in point.attributes
    assert "novitai.request_id" not in point.attributes


def test_durations_are_told_apart_by_what_came_of_them() -> None:
    watched, cloud = Watched(), Emulator(api_key="k")
    with client_of(watched, cloud) as client:
        cloud.order(faults.server_error(status=503))
        client.cloud.clusters.list()
        client.cloud.clusters.list()
    counts = {
        point.attributes["http.response.status_code"]: point.count for point in watched.points()
    }
    assert counts == {503: 1, 200: 2}


def test_spans_are_below_the_one_of_the_caller_on_every_face() -> None:
    watched, cloud = Watched(), Emulator(api_key="k")
    tracer = watched.tracers.get_tracer("tests")

    def plain() -> None:
        with client_of(watched, cloud) as client, tracer.start_as_current_span("plain"):
            client.cloud.clusters.list()

    async def awaiting(name: str) -> None:
        async with AsyncNovitai(
            api_key="k", network=MemoryNetwork(cloud), store="memory", on_attempt=watched.hook
        ) as client:
            with tracer.start_as_current_span(name):
                await client.cloud.clusters.list()

    thread = threading.Thread(target=plain)
    thread.start()
    thread.join()
    for backend in ("asyncio", "trio"):
        anyio.run(awaiting, backend, backend=backend)
    spans = watched.spans.get_finished_spans()
    callers = {
        span.context.span_id: span.name for span in spans if span.kind is not SpanKind.CLIENT
    }
    parents = [span.parent for span in spans if span.kind is SpanKind.CLIENT]
    assert [callers[parent.span_id] for parent in parents if parent] == ["plain", "asyncio", "trio"]
