"""Jobs of the cloud, and what it measures."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import attrs

from ..._calling import Mode, dual, dual_iter
from ...errors import NotFound
from .. import _routes as routes
from .._job_models import (
    CloudJob,
    CloudJobList,
    CloudJobQuery,
    CloudJobRef,
    JobStarted,
    Metrics,
    MetricsQuery,
    SaveImage,
)
from .._limits import check_id, check_job_query, check_metrics_query, check_save_image
from .._paging import PAGE_SIZE, Walk
from .._words import JobPhase, JobType
from ._base import Noun, several

__all__ = ["CloudJobs", "CloudMetrics"]

_METRICS_ELSEWHERE: Final = attrs.evolve(routes.GET_METRICS, prefix="/openapi/v1")


@attrs.frozen
class CloudJobs(Noun[Mode]):
    """What the cloud does in the background: images being saved, machines being moved.

    Not the task runner's records, which are in ``client.jobs``.
    """

    @dual
    async def list(
        self,
        *,
        job_id: str | None = None,
        state: JobPhase | None = None,
        type: JobType | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        creators: str | Iterable[str] | None = None,
        page_size: int = PAGE_SIZE,
    ) -> tuple[CloudJob, ...]:
        """Return all jobs that match, from all pages, each once; *start_time* and *end_time* say when they were made.

        Raises UnexpectedReply if the pages end before all were seen.
        """
        query = _query(job_id, state, type, start_time, end_time, creators, page_size)
        return await self._pages(query).everything(self._left())

    @dual_iter
    def iterate(
        self,
        *,
        job_id: str | None = None,
        state: JobPhase | None = None,
        type: JobType | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        creators: str | Iterable[str] | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Walk[CloudJob]:
        """Yield what :meth:`list` returns one by one, fetching pages of *page_size* as they are needed.

        Raises as :meth:`list` does; whoever goes on after an error asks for the same page again.
        """
        return self._pages(_query(job_id, state, type, start_time, end_time, creators, page_size))

    def _pages(self, query: CloudJobQuery) -> Walk[CloudJob]:
        check_job_query(query)
        return Walk(
            lambda number, timeout: self._session.call(
                routes.LIST_JOBS, attrs.evolve(query, page_num=number), timeout=timeout
            ),
            first=0,
            operation=routes.LIST_JOBS.name,
            page_size=query.page_size or PAGE_SIZE,
        )

    @dual
    async def list_page(self, query: CloudJobQuery) -> CloudJobList:
        """Return one page as the cloud gives it; page 0 and page 1 may be the same."""
        check_job_query(query)
        return await self._session.call(routes.LIST_JOBS, query)

    @dual
    async def break_job(self, job_id: str) -> None:
        """Stop a job. Raises NotFound when there is none of that id, InvalidState when it has ended."""
        check_id("jobId", job_id)
        await self._session.call(routes.BREAK_JOB, CloudJobRef(job_id=job_id))

    @dual
    async def save_image(
        self, instance_id: str, image: str, *, registry_auth_id: str | None = None
    ) -> str:
        """Begin to save an instance as *image*, a name with a tag, and return the id of the job that does it.

        Stop the instance first, or what it is writing may be saved half. *registry_auth_id* is needed for private
        registries.
        """
        body = SaveImage(instance_id=instance_id, image=image, registry_auth_id=registry_auth_id)
        check_save_image(body)
        started: JobStarted = await self._session.call(routes.SAVE_IMAGE, body)
        return started.job_id


def _query(
    job_id: str | None,
    state: JobPhase | None,
    kind: JobType | None,
    start_time: datetime | None,
    end_time: datetime | None,
    creators: str | Iterable[str] | None,
    page_size: int,
) -> CloudJobQuery:
    return CloudJobQuery(
        page_size=page_size,
        job_id=job_id,
        state=state,
        type=kind,
        start_time=start_time,
        end_time=end_time,
        creators=None if creators is None else several(creators),
    )


@attrs.frozen
class CloudMetrics(Noun[Mode]):
    """What the cloud measures of an instance."""

    @dual
    async def get(
        self,
        instance_id: str,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        interval: int | None = None,
    ) -> Metrics:
        """Return how busy an instance was, in percent, a point every *interval* seconds (15 or more).

        Without times it is the last minute. What is measured arrives about a minute late. Raises ValidationError for
        times and intervals the cloud would replace by its own without a word.
        """
        query = MetricsQuery(
            instance_id=instance_id, start_time=start_time, end_time=end_time, interval=interval
        )
        check_metrics_query(query)
        left = self._left()
        try:
            return await self._session.call(routes.GET_METRICS, query)
        except NotFound as error:
            # Two paths are in circulation; what is missing here is the operation, not the instance.
            if error.reason != "API_NOT_FOUND":
                raise
        return await self._session.call(_METRICS_ELSEWHERE, query, timeout=left())
