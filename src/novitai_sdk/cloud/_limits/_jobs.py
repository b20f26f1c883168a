"""The limits of what is asked of jobs and metrics."""

from datetime import datetime, timedelta
from typing import Final, cast

from .._job_models import CloudJobQuery, MetricsQuery, SaveImage
from ._problems import Problems

__all__ = ["check_job_query", "check_metrics_query", "check_save_image"]

_SHORTEST: Final = timedelta(seconds=60)


def check_job_query(query: CloudJobQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems.of("the listing", query, CloudJobQuery)
    found.number("pageSize", query.page_size, 0)
    found.number("pageNum", query.page_num, 0)
    found.text("jobId", query.job_id, 255)
    start, end = _span(found, query.start_time, query.end_time)
    if start and end and start > end:
        found.add("startTime", "must not be after endTime", start.isoformat())
    found.done("the listing")


def check_save_image(body: SaveImage) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the request", body, SaveImage)
    found.text("instanceId", body.instance_id, 255, least=1)
    found.text("image", body.image, 4095, least=1)
    found.text("registryAuthId", body.registry_auth_id, 255)
    found.done("the request")


def check_metrics_query(query: MetricsQuery) -> None:
    """Raise ValidationError where the cloud would measure something else without a word."""
    found = Problems.of("the request", query, MetricsQuery)
    found.text("instanceId", query.instance_id, 255, least=1)
    start, end = _span(found, query.start_time, query.end_time)
    if start and end and end - start < _SHORTEST:
        found.add("startTime", "must be 60 seconds or more before endTime", start.isoformat())
    found.number("interval", query.interval, 15)
    found.done("the request")


def _span(
    found: Problems, start: datetime | None, end: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """Return the moments that can be sent: one without a zone could be any of 24."""
    for name, moment in (("startTime", start), ("endTime", end)):
        if moment is None:
            continue
        if not isinstance(cast(object, moment), datetime):
            return None, None
        if moment.utcoffset() is None:
            found.add(name, "must have a time zone", moment.isoformat())
            return None, None
    return start, end
