"""Jobs that survive: plain data in a store, functions that do the work, a runner that joins them.

A job is a value (:class:`~novitai_sdk.models.Job`), a handler is a function of job and context that
answers with an outcome, and a store keeps both the jobs and the records they are about::

    async def greet(job: Job, context: JobContext) -> Outcome:
        print("Hello", job.payload["name"])
        return Done()

    store = open_store("jobs.db")
    runner = Runner(store, {"greet": greet})

Neither the job nor the handler knows which store or which process it lives in.
"""

import os
from typing import TYPE_CHECKING

from .._job_event import JobEvent, OnJob
from .._promise import Future
from ._background import BackgroundRunner
from ._enqueueing import RegistersAny, RegistersAwaited
from ._errors import (
    ClaimLost,
    JobError,
    JobNotFound,
    JobRefused,
    JobStateError,
    JobWaitTimedOut,
    RecordChanged,
    RunnerFailed,
    StoreBusy,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    StoreTooNew,
)
from ._handling import Commits, Handler, JobContext, Together
from ._listing import JobOrder, JobPage, JobQuery
from ._memory import MemoryStore
from ._noun import Jobs, QueueHealth
from ._retention import Retention
from ._runner import Runner
from ._schedule import Backoff, JobRetryPolicy, Steps
from ._signals import exit_on_sigterm
from ._store import (
    Again,
    Backlog,
    Batch,
    Change,
    Claim,
    Done,
    GiveUp,
    HandBack,
    NewJob,
    Offer,
    Outcome,
    Record,
    Retry,
    Settlement,
    Store,
    Write,
    job_id,
    new_job,
)
from ._threads import PlainJobContext

if TYPE_CHECKING:
    from ._sqlite import SqliteStore

__all__ = [
    "Again",
    "BackgroundRunner",
    "Backlog",
    "Backoff",
    "Batch",
    "Change",
    "Claim",
    "ClaimLost",
    "Commits",
    "Done",
    "Future",
    "GiveUp",
    "HandBack",
    "Handler",
    "JobContext",
    "JobEvent",
    "JobError",
    "JobNotFound",
    "JobOrder",
    "JobPage",
    "JobQuery",
    "JobRefused",
    "JobStateError",
    "JobWaitTimedOut",
    "Jobs",
    "MemoryStore",
    "NewJob",
    "Offer",
    "OnJob",
    "Outcome",
    "PlainJobContext",
    "QueueHealth",
    "Record",
    "RecordChanged",
    "Retention",
    "Retry",
    "RegistersAny",
    "RegistersAwaited",
    "JobRetryPolicy",
    "Runner",
    "RunnerFailed",
    "Settlement",
    "SqliteStore",
    "Steps",
    "Store",
    "StoreBusy",
    "StoreClosed",
    "StoreCorrupt",
    "StoreError",
    "StoreForeign",
    "StoreFull",
    "StoreGone",
    "StoreReadOnly",
    "StoreTooNew",
    "Together",
    "Write",
    "exit_on_sigterm",
    "job_id",
    "new_job",
    "open_store",
]


def open_store(
    spec: "str | os.PathLike[str] | Store",
    *,
    synchronous: str = "FULL",
    retention: Retention | None = None,
    allow_network_disk: bool = False,
) -> Store:
    """Return the store that *spec* names.

    Args:
        spec: ``"memory"``, the path of a file (made if it is not there), or a store.
        synchronous: For a file, ``"FULL"`` or ``"NORMAL"``; see :class:`SqliteStore`.
        retention: How long finished jobs are kept; not for a store that is there already.
        allow_network_disk: Take a file on a network file system, in spite of what :class:`SqliteStore` says of it.

    Raises:
        StoreError: The file cannot be used; the class of the error says why.

    >>> open_store("memory").stats().result().total_jobs
    0
    """
    if isinstance(spec, str | os.PathLike):
        if spec == "memory":
            return MemoryStore(retention=retention)
        from ..settings import nearly_memory  # here, for it is nothing that this package offers

        if isinstance(spec, str) and (problem := nearly_memory(spec)):
            raise StoreError(f"a store {problem}")
        if isinstance(spec, str) and ("://" in spec or spec == ":memory:"):
            # Taken for a path, it would become a file of that name. Not shown: a URL may hold a password.
            raise StoreError(
                'a store is "memory", the path of a file or a store; this looks like the address of a database'
            )
        from ._sqlite import SqliteStore

        return SqliteStore(
            spec,
            synchronous=synchronous,
            retention=retention,
            allow_network_disk=allow_network_disk,
        )
    return spec


# Type checkers would take every name for one that is there.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Loaded when it is asked for: a program that keeps its jobs in memory need not load sqlite3.
        if name == "SqliteStore":
            from ._sqlite import SqliteStore

            return SqliteStore
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
