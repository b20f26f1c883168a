"""Health: what a client stands on, checked for real and within a time.

The contract's rule: healthy when every service is up. Shares are percent, memory is MB and times are milliseconds,
as the contract has them.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import attrs

from ._asked import check_timeout
from ._calling import Mode
from ._meter import Meter
from ._retry import RetryPolicy
from ._session import Session
from ._waiting import Waiter
from .cloud import Cloud, CloudClusters
from .errors import NovitaError
from .instances._records import KIND, at
from .jobs import Backlog, Change, Store, Write
from .models import (
    CacheDependency,
    CpuUsage,
    EnhancedHealthCheckResponse,
    HealthCheckResponse,
    HealthDependencies,
    HealthServices,
    HealthStatus,
    JobQueueDependency,
    JobQueueStats,
    MemoryUsage,
    NovitaApiDependency,
    PerformanceMetrics,
    ServiceStatus,
    SystemMetrics,
)
from .settings import Settings

__all__ = ["Health", "cpu_seconds"]

_MB: Final = 1024 * 1024
_T = TypeVar("_T")

_SHORTEST: Final = 0.001

# Leaves everything as it was, yet only a store that can be written, and has room for one more job, accepts it. The size
# is some pages of a file: what fits between its rows would be accepted when no job is any more.
_PROBE: Final = Change(
    writes=(
        Write(kind="probe", key="health", body={"room": "x" * 16 * 1024}),
        Write(kind="probe", key="health", body=None),
    )
)


@attrs.frozen(kw_only=True)
class _Finding(Generic[_T]):
    """What one check came to."""

    took: float
    value: _T | None = None
    error: str | None = None

    @property
    def status(self) -> ServiceStatus:
        return ServiceStatus.UP if self.error is None else ServiceStatus.DOWN


class Health(Generic[Mode]):
    """The checks of one client."""

    def __init__(
        self,
        session: Session[Mode],
        store: Callable[[], Store],
        waiter: Waiter[Mode],
        *,
        calls: Meter,
        jobs: Meter,
        lags: Meter,
        settings: Settings,
        started: float,
        cpu_before: float,
        check_runner: Callable[[], None],
    ) -> None:
        self._session = session
        self._store = store
        self._waiter = waiter
        self._calls = calls
        self._jobs = jobs
        self._lags = lags
        self._settings = settings
        self._check_runner = check_runner
        self._started = started
        self._cpu_before = cpu_before

    async def check(self, timeout: float) -> HealthCheckResponse:
        """Return whether all services are up."""
        services, *_ = await self._look(timeout)
        return HealthCheckResponse(
            status=_overall(services),
            timestamp=at(self._waiter.time()),
            services=services,
            uptime=self._waiter.monotonic() - self._started,
        )

    async def report(self, timeout: float) -> EnhancedHealthCheckResponse:
        """Return the same with what was measured."""
        services, api, queue, cache = await self._look(timeout)
        now = at(self._waiter.time())
        return EnhancedHealthCheckResponse(
            status=_overall(services),
            timestamp=now,
            services=services,
            uptime=self._waiter.monotonic() - self._started,
            performance=self._performance(),
            system=self._system(),
            dependencies=HealthDependencies(novita_api=api, job_queue=queue, cache=cache),
        )

    # One after another on one budget: a plain client has no loop to run them side by side, and two are local.
    async def _look(
        self, timeout: float
    ) -> tuple[HealthServices, NovitaApiDependency, JobQueueDependency, CacheDependency]:
        check_timeout(timeout)
        start = self._waiter.monotonic()
        # Each leaves a share to the next: a queue that hangs must not make the others look down.
        queue = await self._queue(start + timeout / 3)
        cache = await self._cache(start + timeout * 2 / 3)
        api = await self._api(start + timeout)
        services = HealthServices(novita_api=api.status, job_queue=queue.status, cache=cache.status)
        return services, api, queue, cache

    async def _api(self, ends: float) -> NovitaApiDependency:
        async def look() -> None:
            left = self._left(ends)
            # Not what this client makes of the cloud, but the cloud itself.
            once = attrs.evolve(
                self._session.patience,
                timeout=left,
                attempt_timeout=left,
                retry=RetryPolicy(attempts=1),
                rate_limit=None,
                circuit_breaker=None,
            )
            # The smallest answer the API has; it needs a valid key like all the others.
            await CloudClusters.list(Cloud(self._session.patient(once)).clusters)

        found = await self._timed(look)
        return NovitaApiDependency(
            status=found.status,
            response_time=round(found.took * 1000, 3),
            error=found.error,
            last_checked=at(self._waiter.time()),
        )

    async def _queue(self, ends: float) -> JobQueueDependency:
        async def look() -> tuple[JobQueueStats, Backlog]:
            self._check_runner()
            store = self._store()
            await self._waiter.result(store.commit(_PROBE), self._left(ends))
            backlog = store.backlog(self._waiter.time())
            return (
                await self._waiter.result(store.stats(), self._left(ends)),
                await self._waiter.result(backlog, self._left(ends)),
            )

        found = await self._timed(look)
        now = self._waiter.time()
        report = JobQueueDependency(
            status=found.status,
            queue_size=0,
            processing=0,
            completed=0,
            failed=0,
            last_checked=at(now),
            error=found.error,
        )
        if found.value is None:
            return report
        stats, backlog = found.value
        age = 0.0 if backlog.oldest_due is None else max(0.0, now - backlog.oldest_due)
        return attrs.evolve(
            report,
            queue_size=stats.pending_jobs,
            processing=stats.processing_jobs,
            completed=stats.completed_jobs,
            failed=stats.failed_jobs,
            due=backlog.depth,
            oldest_due_age=round(age * 1000, 3),
            lag=round(self._lags.read(at=self._waiter.monotonic()).average * 1000, 3),
            degraded=self._behind(backlog.depth, age),
        )

    def _behind(self, depth: int, age: float) -> str | None:
        most, longest = self._settings.degraded_depth, self._settings.degraded_age
        found: list[str] = []
        if depth > most:
            found.append(f"{depth} jobs are due and not taken, more than {most}")
        if age > longest:
            found.append(f"the oldest due job has waited {age:.0f} s, more than {longest:g} s")
        return "; ".join(found) or None

    async def _cache(self, ends: float) -> CacheDependency:
        async def look() -> int:
            kept = await self._waiter.result(self._store().scan(KIND), self._left(ends))
            return len(kept)

        found = await self._timed(look)
        return CacheDependency(
            status=found.status,
            total_states=found.value or 0,
            last_checked=at(self._waiter.time()),
            error=found.error,
        )

    async def _timed(self, look: Callable[[], Awaitable[_T]]) -> _Finding[_T]:
        started = self._waiter.monotonic()
        try:
            value = await look()
        except (NovitaError, TimeoutError) as error:
            took = self._waiter.monotonic() - started
            return _Finding(took=took, error=f"{type(error).__name__}: {error}")
        return _Finding(took=self._waiter.monotonic() - started, value=value)

    def _left(self, ends: float) -> float:
        return max(_SHORTEST, ends - self._waiter.monotonic())

    def _performance(self) -> PerformanceMetrics:
        now = self._waiter.monotonic()
        calls, jobs = self._calls.read(at=now), self._jobs.read(at=now)
        return PerformanceMetrics(
            requests_per_minute=round(calls.per_minute, 3),
            average_response_time=round(calls.average * 1000, 3),
            error_rate=round(calls.failed, 3),
            job_processing_rate=round(jobs.per_minute, 3),
        )

    def _system(self) -> SystemMetrics:
        wall = max(_SHORTEST, self._waiter.monotonic() - self._started)
        # Averaged over the life of the client: two samples a moment apart would tell of that moment only.
        spent = cpu_seconds() - self._cpu_before
        return SystemMetrics(
            memory=_memory(),
            cpu=CpuUsage(usage=round(min(100.0, 100 * spent / wall), 3), load_average=_load()),
        )


def cpu_seconds() -> float:
    """Seconds of processor time this process has used."""
    times = os.times()
    return times.user + times.system


def _overall(services: HealthServices) -> HealthStatus:
    each = (services.novita_api, services.job_queue, services.cache)
    well = all(one is ServiceStatus.UP for one in each)
    return HealthStatus.HEALTHY if well else HealthStatus.UNHEALTHY


def _load() -> tuple[float, float, float]:
    try:
        return os.getloadavg()
    except (AttributeError, OSError):  # not on every system
        return (0.0, 0.0, 0.0)


def _memory() -> MemoryUsage:
    resident, total = _resident() / _MB, _physical() / _MB
    return MemoryUsage(
        used_mb=round(resident, 3),
        total_mb=round(total, 3),
        external_mb=0.0,
        rss=round(resident, 3),
    )


def _resident() -> float:
    """Bytes of memory this process holds now; where only the peak is known, the peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return _peak()


def _peak() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def _physical() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return 0.0
