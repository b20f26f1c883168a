"""Health as the service contract reports it.

Shares are percent, memory is MB, response times are milliseconds, rates are per minute.
"""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ._base import Json, Model, extra_field
from ._enums import HealthStatus, ServiceStatus


@attrs.frozen(kw_only=True, eq=False, repr=False)
class HealthServices(Model):
    """Whether each service answers. Further services of later versions are in ``extra``."""

    novita_api: ServiceStatus
    job_queue: ServiceStatus
    cache: ServiceStatus
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class HealthCheckResponse(Model):
    """Whether everything a client stands on works."""

    status: HealthStatus
    """Healthy when every service is up."""

    timestamp: datetime
    """When this was found, in UTC."""

    services: HealthServices

    uptime: float
    """Seconds since the client was made."""

    extra: Mapping[str, Json] = extra_field()
