"""Spans and metrics for OpenTelemetry, by its conventions for HTTP clients. Needs ``novitai-sdk[otel]``.

>>> from novitai_sdk import Novitai
>>> from novitai_sdk.emulator import Emulator
>>> with Emulator() as cloud, Novitai(
...     api_key=cloud.api_key, base_url=cloud.base_url, store="memory", on_attempt=Telemetry()
... ) as client:
...     len(client.catalog.regions()) > 0
True

Every try is a span of its own, of kind CLIENT, below the span that is current where the call is made; a retry has
``http.request.resend_count``. The tries of the job runner, which runs on its own, are below none. Nothing is added to
the requests: the cloud takes part in no trace.
"""

from typing import Final
from urllib.parse import urlsplit

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.util.types import AttributeValue
except ModuleNotFoundError as _missing:  # pragma: no cover - the tests have it
    raise ModuleNotFoundError(
        "novitai_sdk.otel needs opentelemetry-api: pip install 'novitai-sdk[otel]'"
    ) from _missing

from ._retry import Attempt
from ._version import __version__

__all__ = ["Telemetry"]

# Those the conventions name for the duration of HTTP requests, in seconds.
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_PORTS: Final = {"http": 80, "https": 443}


class Telemetry:
    """Makes a span and a measurement of every try: give it to a client as ``on_attempt``.

    *tracer_provider* and *meter_provider* default to the global ones of OpenTelemetry.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("novitai_sdk", __version__, tracer_provider)
        meter = metrics.get_meter("novitai_sdk", __version__, meter_provider)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )

    def __call__(self, attempt: Attempt) -> None:
        """Tell OpenTelemetry of one try."""
        shared = _shared(attempt)
        self._duration.record(attempt.seconds, shared)
        start = int(attempt.started * 1e9)
        template = shared.get("url.template")
        span = self._tracer.start_span(
            f"{attempt.method} {template}" if template else attempt.method,
            kind=SpanKind.CLIENT,
            start_time=start,
            attributes={**shared, **_own(attempt)},
        )
        if attempt.fault:
            # What a status says already is not said again, by the conventions.
            said = attempt.message if attempt.status is None or attempt.status < 400 else None
            span.set_status(Status(StatusCode.ERROR, said))
        span.end(start + int(attempt.seconds * 1e9))


def _shared(attempt: Attempt) -> dict[str, AttributeValue]:
    """What spans and metrics say: nothing here has many values."""
    parts = urlsplit(attempt.url)
    found: dict[str, AttributeValue] = {
        "http.request.method": attempt.method,
        "server.address": parts.hostname or "",
        "server.port": parts.port or _PORTS.get(parts.scheme, 0),
        "url.scheme": parts.scheme,
    }
    # The ids of the cloud's own operations are in the query; a path that somebody wrote may hold anything.
    if not attempt.operation.startswith(f"{attempt.method} "):
        found["url.template"] = parts.path
    if attempt.status is not None:
        found["http.response.status_code"] = attempt.status
    if attempt.fault:
        failed = attempt.status is not None and attempt.status >= 400
        found["error.type"] = str(attempt.status) if failed else attempt.fault
    return found


def _own(attempt: Attempt) -> dict[str, AttributeValue]:
    """What only a span says."""
    found: dict[str, AttributeValue] = {
        "url.full": attempt.url,
        "novitai.operation": attempt.operation,
    }
    if attempt.number > 1:
        found["http.request.resend_count"] = attempt.number - 1
    if attempt.request_id is not None:
        found["novitai.request_id"] = attempt.request_id
    return found
