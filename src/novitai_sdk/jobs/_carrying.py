"""From what a program does with a payload to a handler of jobs."""

from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from .._convert import explain
from ..models import Job
from ..models._base import Json
from ._handling import Handler, JobContext, checked
from ._kinds import JobKind
from ._payloads import read_payload, written_payload
from ._store import Done, GiveUp, Outcome
from ._threads import in_thread

__all__ = ["as_stored", "handler_of", "is_awaited"]


def is_awaited(work: object) -> bool:
    """Whether calling *work* gives something to await."""
    return iscoroutinefunction(work) or iscoroutinefunction(getattr(work, "__call__", None))  # noqa: B004


def as_stored(payload: object) -> tuple[dict[str, Json], list[str]]:
    """Return *payload* as a job has it, or what is wrong with it."""
    try:
        return written_payload(payload), []
    except Exception as error:  # noqa: BLE001 - a converter raises whatever its hooks raise
        told = "; ".join(explain(error))
        return {}, [f"the payload of {type(payload).__name__} cannot be stored: {told}"]


def handler_of(kind: JobKind) -> Handler:
    """Return the handler of jobs of *kind*: it reads the payload, then does the kind's work."""
    work: Any = kind.work

    async def handle(job: Job, context: JobContext) -> Outcome:
        try:
            payload: object = read_payload(job.payload, kind.payload)
        except Exception as error:  # noqa: BLE001 - a converter raises whatever validators raise
            # For good: the same text would not fit the next time.
            problems = "; ".join(explain(error))
            return GiveUp(error=f"the payload does not fit {kind.payload.__name__}: {problems}")
        answer: object = (
            await work(payload, context)
            if is_awaited(work)
            else await in_thread(partial(work, payload), context)
        )
        return Done() if answer is None else checked(answer)

    return handle
