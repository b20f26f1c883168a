"""How long finished jobs are kept."""

from typing import Any, Final

import attrs

from ..models import JobStatus
from . import _life

__all__ = ["ENDED", "STEP", "Retention"]

STEP: Final = 500
"""Finished jobs that are removed at once."""

ENDED: Final = (JobStatus.COMPLETED, JobStatus.FAILED)
"""What a job is when it has ended; only such are ever removed."""

_DAY: Final = 86_400.0


def _not_below_zero(_: object, attribute: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and not value >= 0:
        raise ValueError(f"{attribute.name} is {value}: 0 or more is expected, or None")


def _at_least_one(_: object, attribute: "attrs.Attribute[Any]", value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name} is {value}: 1 or more is expected")


@attrs.frozen(kw_only=True)
class Retention:
    """How long finished jobs are kept; those that wait or are worked on stay in any case.

    Attributes:
        completed: Seconds a completed job is kept; None for good.
        failed: The same for failed ones.
        most_completed: Completed jobs that are kept at most, the latest; None for no limit.
        step: Jobs that are removed at once; whoever calls meanwhile waits for one step at most.

    Raises:
        ValueError: A number below zero, or a step below one.

    >>> Retention(completed=3600).before(JobStatus.COMPLETED, now=10_000.0)
    6400.0
    """

    completed: float | None = attrs.field(default=7 * _DAY, validator=_not_below_zero)
    failed: float | None = attrs.field(default=30 * _DAY, validator=_not_below_zero)
    most_completed: int | None = attrs.field(default=100_000, validator=_not_below_zero)
    step: int = attrs.field(default=STEP, validator=_at_least_one)

    def before(self, status: JobStatus, now: float) -> float | None:
        """Epoch seconds up to which jobs that ended as *status* are removed at *now*, or None."""
        kept = self.completed if status is JobStatus.COMPLETED else self.failed
        return None if kept is None else _life.rounded(now - kept)

    def excess(self, completed: int) -> int:
        """How many of so many *completed* jobs are too many."""
        return 0 if self.most_completed is None else max(0, completed - self.most_completed)


def ended(status: JobStatus | None) -> tuple[JobStatus, ...]:
    """Return which jobs *status* names for removal; None names all that have ended.

    Raises:
        ValueError: Jobs of that status have not ended.
    """
    if status is None:
        return ENDED
    if status in ENDED:
        return (status,)
    raise ValueError(f"status is {status}: only completed and failed jobs can be removed")
