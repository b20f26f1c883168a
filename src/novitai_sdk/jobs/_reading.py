"""A row of the file, read as a job: as it was written, and with care if it is not.

A bit that fell over, or a hand that wrote into the file, may have left anything in a row. Whoever reads others with it
is not to pay for that, so such a row is read as a job that tells what is wrong with it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from ..models import Job, JobPriority, JobStatus
from . import _life
from ._checks import MOST, is_number, is_text, is_whole
from ._store import Record, from_text, job_type

__all__ = ["COLUMNS", "COLUMNS_OF_ARRIVALS", "Row", "read_record", "read_row", "unread"]

T = TypeVar("T")

_NAMES: Final[Sequence[str]] = (
    "seq", "id", "type", "body", "status", "priority", "attempts", "max_attempts", "created_at", "processed_at",
    "completed_at", "next_retry_at", "error", "key", "owner", "number", "lease_until",
)  # fmt: skip
_APART: Final = "coalesce(body, (SELECT payloads.body FROM payloads WHERE payloads.seq = jobs.seq))"
COLUMNS: Final = ", ".join(_APART if name == "body" else name for name in _NAMES)

_NEW: Final[Mapping[str, str]] = {
    "status": f"'{JobStatus.PENDING}'",
    "attempts": "0",
    "number": "0",
}
_KNOWN: Final = frozenset(
    {"seq", "id", "type", "body", "priority", "max_attempts", "created_at", "next_retry_at"}
)
COLUMNS_OF_ARRIVALS: Final = ", ".join(
    name if name in _KNOWN else _NEW.get(name, "NULL") for name in _NAMES
)
"""The same of jobs that are not filed yet."""

_UNKNOWN: Final = _life.moment(0.0)
# Found by looking, which takes a tenth of what asking the enumeration takes.
_STATUSES: Final[Mapping[str, JobStatus]] = {one.value: one for one in JobStatus}
_PRIORITIES: Final[Mapping[int, JobPriority]] = {one.value: one for one in JobPriority}


@attrs.frozen
class Row:
    """A job and what only the store knows of it."""

    job: Job
    seq: int
    key: str | None
    owner: str | None
    number: int
    lease_until: float | None

    wrong: str | None = None
    """Why nobody can be given the job, or None."""


def read_row(values: Sequence[Any]) -> Row:
    """Return what the *values* of `COLUMNS` tell, also where they cannot all be read."""
    try:
        return _as_written(values)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is one row of many
        return _with_care(values, error)


def _as_written(values: Sequence[Any]) -> Row:
    (
        _,
        id_,
        type_,
        body,
        status,
        priority,
        attempts,
        most,
        created,
        processed,
        completed,
        retry,
        error,
        key,
        owner,
        number,
        lease_until,
    ) = values
    if attempts > MOST or number > MOST:
        raise ValueError("a count that is none")
    moment = _life.moment
    job = Job(
        id=id_,
        type=job_type(type_),
        payload=from_text(body),
        status=_STATUSES[status],
        priority=_PRIORITIES[priority],
        attempts=attempts,
        max_attempts=most,
        created_at=moment(created),
        processed_at=None if processed is None else moment(processed),
        completed_at=None if completed is None else moment(completed),
        next_retry_at=None if retry is None else moment(retry),
        error=error,
    )
    return Row(job, values[0], key, owner, number, lease_until)


def _with_care(values: Sequence[Any], why: Exception) -> Row:
    """Return what can be read; the rest is as in a job of which nothing else is known."""
    given: dict[str, Any] = dict(zip(_NAMES, values, strict=True))
    wrong = unread(f"{type(why).__name__}: {why}")
    told = given["error"]

    def fitting(name: str, read: Callable[[Any], T], otherwise: T) -> T:
        try:
            return read(given[name])
        except Exception:  # noqa: BLE001 - told once, by `wrong`
            return otherwise

    job = Job(
        id=_shown(given["id"]),
        type=job_type(_shown(given["type"])),
        payload=fitting("body", from_text, {}),
        status=fitting("status", lambda status: _STATUSES[status], JobStatus.FAILED),
        priority=fitting("priority", lambda priority: _PRIORITIES[priority], JobPriority.NORMAL),
        attempts=given["attempts"] if is_whole(given["attempts"], 0) else 0,
        max_attempts=given["max_attempts"] if is_whole(given["max_attempts"], 1) else 1,
        created_at=fitting("created_at", _life.moment, _UNKNOWN),
        processed_at=fitting("processed_at", _life.moment, None),
        completed_at=fitting("completed_at", _life.moment, None),
        next_retry_at=fitting("next_retry_at", _life.moment, None),
        error=told if isinstance(told, str) and told else wrong,
    )
    return Row(
        job,
        given["seq"],
        given["key"] if is_text(given["key"]) else None,
        given["owner"] if is_text(given["owner"]) else None,
        given["number"] if is_whole(given["number"], 0) else 0,
        given["lease_until"] if is_number(given["lease_until"]) else None,
        wrong,
    )


def unread(why: str) -> str:
    """Say that nobody can be given the job of a row, and why."""
    return f"its row in the store cannot be read: {why}"


def _shown(given: object) -> str:
    return given if isinstance(given, str) else repr(given)


def read_record(kind: str, key: str, version: int, body: Any) -> Record:
    """Return a record, also where its *body* cannot be read."""
    try:
        return Record(kind=kind, key=key, version=version, body=from_text(body))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is one record of many
        wrong = f"{type(error).__name__}: {error}"
        return Record(kind=kind, key=key, version=version, body={}, wrong=wrong)
