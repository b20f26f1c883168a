"""Who is told of what happens to jobs: the program's own hooks, and the log."""

import logging
from collections.abc import Sequence

from .._job_event import JobEvent, OnJob
from ._handling import facts
from ._mishaps import goes_on

__all__ = ["Watcher", "listens"]

_log = logging.getLogger("novitai_sdk")


class Watcher:
    """Tells all *hooks*, each whatever the others do, and notes every event at level DEBUG.

    A hook that fails is logged once: it would otherwise fill the log with every job.
    """

    def __init__(self, hooks: Sequence[OnJob]) -> None:
        self._hooks = tuple(hooks)
        self._failed: set[int] = set()

    @property
    def listens(self) -> bool:
        """Whether there is anybody to tell at the moment."""
        return bool(self._hooks) or _log.isEnabledFor(logging.DEBUG)

    def __call__(self, event: JobEvent) -> None:
        """Tell of *event*."""
        noted = {**facts(event.job, event.elapsed), "event": event.what}
        _log.debug("job %s (%s): %s", event.job.id, event.job.type, event.what, extra=noted)
        for number, hook in enumerate(self._hooks):
            try:
                hook(event)
            except BaseException as error:
                if goes_on(error):
                    raise
                if number not in self._failed:
                    _log.exception(
                        "on_job: a hook failed, its further failures are not logged: %r",
                        hook,
                        extra=noted,
                    )
                self._failed.add(number)


def listens(hook: OnJob) -> bool:
    """Whether *hook* wants to be told at the moment."""
    return not isinstance(hook, Watcher) or hook.listens
