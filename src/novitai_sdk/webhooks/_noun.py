"""``client.webhooks``: what is sent, and what became of it."""

from collections.abc import Callable, Mapping
from typing import Generic

from .._calling import Belonging, Mode, dual
from .._waiting import Waiter
from ..errors import ValidationError
from ..jobs import Change, JobQuery, Store
from ..models import Job, JobStatus, JobType, Json, WebhookEvent
from ..models._rules import FAILED, https_address, receiver_address
from ._delivery import webhook_job

__all__ = ["Webhooks"]


class Webhooks(Belonging[Mode], Generic[Mode]):
    """Outgoing webhooks. Each delivery is a job of type ``send_webhook``."""

    __slots__ = ("_allow_http", "_check", "_started", "_store", "_waiter")

    def __init__(
        self,
        store: Store,
        waiter: Waiter[Mode],
        *,
        check: Callable[[], None],
        started: Callable[[], None],
        allow_http: bool,
    ) -> None:
        self._allow_http = allow_http
        self._check = check
        self._store = store
        self._waiter = waiter
        self._started = started

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._waiter.mode

    @dual
    async def send(
        self, event: WebhookEvent | Json, url: str, *, headers: Mapping[str, str] | None = None
    ) -> Job:
        """Store *event* for delivery to *url* and return its job; it is delivered in the background, in any order.

        *headers* go beside those that sign it. Raises ValidationError for a URL that is none or not allowed, for
        headers that cannot be sent, and for a payload that is not JSON or larger than 256 kB; RunnerFailed when the
        runner of this process died or could not be started, ClientClosed when the client is closed, and nothing is
        stored then.
        """
        judged = (receiver_address if self._allow_http else https_address)("url", url)
        if judged.details:
            raise ValidationError(FAILED, judged.details)
        new = webhook_job(event, url, now=self._waiter.time(), headers=headers)
        self._check()
        # Before it is stored: an error after that would say of a stored job that it was not.
        self._started()
        await self._waiter.result(self._store.commit(Change(jobs=(new,))))
        return new.job

    @dual
    async def deliveries(
        self, *, status: JobStatus | str | None = None, limit: int = 50, offset: int = 0
    ) -> tuple[Job, ...]:
        """Return deliveries, oldest first; ``status="failed"`` gives those that were given up.

        One that was given up is sent again, with the same message id, by ``client.jobs.retry(job.id)``.
        """
        query = JobQuery(
            status=None if status is None else JobStatus(status),
            type=str(JobType.SEND_WEBHOOK),
            limit=limit,
            offset=offset,
        )
        return await self._waiter.result(self._store.jobs(query))
