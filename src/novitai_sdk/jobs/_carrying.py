"""From what a program does with a payload to a handler of jobs."""

from functools import partial
from typing import Any

from .._calling import is_awaited
from .._convert import explain
from ..models import Job
from ..models._base import Json
from ._alike import differences
from ._handling import Handler, JobContext, checked
from ._kinds import JobKind
from ._payloads import read_payload, written_payload
from ._store import Done, GiveUp, Outcome
from ._threads import in_thread

__all__ = ["as_stored", "handler_of"]


def as_stored(payload: object) -> tuple[dict[str, Json], list[str]]:
    """Return *payload* as a job has it, or what is wrong with it: it must come back as what it is."""
    kind = type(payload)
    body: dict[str, Json] = {}
    wrong = "cannot be stored"
    try:
        body = written_payload(payload)
        wrong = "could not be read again"
        back = read_payload(body, kind)
        wrong = "would not come back as it is"
        problems = list(differences(payload, back, kind.__name__))
    except Exception as error:  # noqa: BLE001 - converters, validators and comparisons raise what they like
        problems = explain(error)
    if problems:
        return {}, [f"the payload of {kind.__name__} {wrong}: {'; '.join(problems)}"]
    return body, []


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
