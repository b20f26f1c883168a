"""Who is told of what happens to jobs: the program's own hooks, and the log."""

import logging
from collections.abc import Sequence

from .._job_event import JobEvent, OnJob

__all__ = ["watcher"]

_log = logging.getLogger("novitai_sdk")


def watcher(hooks: Sequence[OnJob]) -> OnJob:
    """Return what tells all *hooks*, each whatever the others do, and notes every event at level DEBUG.

    A hook that fails is logged once: it would otherwise fill the log with every job.
    """
    failed: set[int] = set()

    def tell(event: JobEvent) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(
                "job %s (%s): %s", event.job.id, event.job.type, event.what, extra=facts(event)
            )
        for number, hook in enumerate(hooks):
            try:
                hook(event)
            except Exception:  # noqa: BLE001 - a watcher that fails must not harm what it watches
                if number not in failed:
                    _log.exception(
                        "on_job: a hook failed, its further failures are not logged: %r",
                        hook,
                        extra=facts(event),
                    )
                failed.add(number)

    return tell


def facts(event: JobEvent) -> dict[str, object]:
    """Return what a log record carries besides its text."""
    return {
        "job_id": event.job.id,
        "job_type": str(event.job.type),
        "attempt": event.job.attempts,
        "elapsed": event.elapsed,
        "event": event.what,
    }
