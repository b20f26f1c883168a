"""What can go wrong with jobs and the store that keeps them.

::

    JobError
    ├── JobNotFound            no job of that id
    ├── JobStateError          a move the job's state does not allow
    ├── JobRefused             not a job a store can accept
    ├── RecordChanged          somebody else wrote the record first
    ├── ClaimLost              the job belongs to another worker now
    ├── RunnerFailed           the runner died; its failure is the cause
    ├── JobWaitTimedOut        it has not ended in time (also a TimeoutError)
    └── StoreError             the store could not do what was asked
        ├── StoreClosed        it was closed
        ├── StoreBusy          another process held it for too long
        ├── StoreFull          no room on the disk
        ├── StoreReadOnly      the file or its directory cannot be written
        ├── StoreForeign       the file belongs to another program
        ├── StoreTooNew        a later version of this library wrote the file
        ├── StoreCorrupt       the file is damaged
        └── StoreGone          the file was moved, removed or replaced
"""

from ..errors import JobError
from ..models import Job

__all__ = [
    "ClaimLost",
    "JobError",
    "JobNotFound",
    "JobRefused",
    "JobStateError",
    "JobWaitTimedOut",
    "RecordChanged",
    "RunnerFailed",
    "StoreBusy",
    "StoreClosed",
    "StoreCorrupt",
    "StoreError",
    "StoreForeign",
    "StoreFull",
    "StoreGone",
    "StoreReadOnly",
    "StoreTooNew",
]


class JobNotFound(JobError):
    """No job of that id; finished jobs are removed after a while."""

    def __init__(self, job_id: str) -> None:
        self.job_id: str = job_id
        super().__init__(f"no job {job_id!r} in this store")


class JobStateError(JobError):
    """The job's state does not allow this move."""


class JobRefused(JobError):
    """Not a job, or not a record, that a store can accept; nothing was stored."""


class RecordChanged(JobError):
    """Somebody else wrote the record first; read it again, then decide.

    Attributes:
        kind: Kind of the record, such as ``instance``.
        key: Its key.
        expected: The version the writer had seen; 0 for none.
        found: The version that is there; 0 for none.
    """

    def __init__(self, kind: str, key: str, expected: int, found: int) -> None:
        self.kind: str = kind
        self.key: str = key
        self.expected: int = expected
        self.found: int = found
        super().__init__(
            f"{kind} {key!r} is at version {found}, not at {expected}: "
            "it was written meanwhile; read it again, then decide"
        )


class ClaimLost(JobError):
    """The job belongs to another worker now, or to nobody: what this one found out is dropped.

    Attributes:
        job_id: The job.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id: str = job_id
        super().__init__(
            f"the claim of job {job_id!r} is lost: its lease ran out, or it was cancelled; "
            "nothing of this change was stored"
        )


class RunnerFailed(JobError):
    """The runner died, so no job of this process is worked on; the failure is the cause."""


class JobWaitTimedOut(JobError, TimeoutError):
    """The job has not ended in time. It goes on, and may be waited for again.

    Attributes:
        job: The job as it was last seen.
        timeout: How many seconds were waited for it.
    """

    def __init__(self, job: Job, timeout: float) -> None:
        self.job: Job = job
        self.timeout: float = timeout
        super().__init__(
            f"job {job.id!r} ({job.type}) is {job.status} after {timeout:g} seconds"
            + (f"; last error: {job.error}" if job.error else "")
        )

    @property
    def retryable(self) -> bool:
        """Whether the same may succeed later."""
        return True


class StoreError(JobError):
    """The store could not do what was asked; nothing of it was stored.

    Attributes:
        passing: Whether the same call may succeed later without anybody doing anything to the file.
    """

    passing: bool = False


class StoreClosed(StoreError):
    """The store was closed; what it had accepted before is kept."""


class StoreBusy(StoreError):
    """Another process held the file for longer than the busy timeout."""

    passing = True


class StoreFull(StoreError):
    """There is no room for what was to be stored; what is stored already is safe."""

    passing = True


class StoreReadOnly(StoreError):
    """The file or its directory cannot be written by this user."""


class StoreForeign(StoreError):
    """The file is not a store of this library; it was left as it is."""


class StoreTooNew(StoreError):
    """A later version of this library wrote the file; it was left as it is."""


class StoreCorrupt(StoreError):
    """The file is damaged; it was left as it is."""


class StoreGone(StoreError):
    """The file was moved, removed or replaced while it was open; what it held is wherever it is now."""
