"""What is told of a job that is run here."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from .models import Job
from .models._base import Model

__all__ = ["JobEvent", "OnJob", "What"]

What: TypeAlias = Literal[
    "claimed", "completed", "failed", "again", "retrying", "handed_back", "lost"
]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobEvent(Model):
    """What happened to a job that is run here.

    Attributes:
        what: ``claimed``: an attempt begins. ``completed`` and ``failed``: the job has ended. ``again``: it looks again
            later. ``retrying``: the attempt failed, another is due later. ``handed_back``: nothing was done, since this
            worker stops or it is not the time. ``lost``: the job was cancelled or taken over, and what the attempt
            found out was dropped.
        job: The job, this attempt counted; after its end as it was stored.
        elapsed: Seconds the attempt took, 0 when it begins.
    """

    what: What
    job: Job
    elapsed: float = 0.0


OnJob: TypeAlias = Callable[[JobEvent], object]
"""Is told of what happens to jobs, in the runner's event loop: it must not block. What it raises is logged."""
