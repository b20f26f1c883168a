"""Which jobs to list, in what order, and where a page goes on.

A page goes on behind its last job, not after so many jobs: what has come or gone in between moves nothing. The three
orders go by what never changes about a job, so that one that is there all the time is listed once.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, cast

import attrs

from ..models import Job, JobPriority, JobStatus
from . import _life
from ._checks import MOST, is_number, is_text, is_whole

__all__ = ["JobOrder", "JobPage", "JobQuery", "JobWalk"]

JobOrder: TypeAlias = Literal["priority", "oldest", "newest"]
"""``priority``: highest priority first, then what was created first. ``oldest`` and ``newest``: as they came."""

_Place: TypeAlias = tuple[float, ...]
"""Where a job stands in an order, to be compared with others of that order: the smallest comes first."""

# As the job that is read of the row tells them, also where it holds none: a cursor must stand where its row does.
_PRIORITY: Final = (
    f"CASE WHEN priority IN ({', '.join(str(one.value) for one in JobPriority)})"
    f" THEN priority ELSE {JobPriority.NORMAL.value} END"
)
_CREATED: Final = f"CASE WHEN created_at >= {_life.FIRST!r} AND created_at < {_life.END!r} THEN created_at ELSE 0.0 END"
_SQL: Final[Mapping[JobOrder, tuple[str, str]]] = {
    "priority": (
        f"{_PRIORITY} DESC, {_CREATED}, seq",
        f"({_PRIORITY} < -:at0 OR {_PRIORITY} = -:at0 AND ({_CREATED} > :at1 OR {_CREATED} = :at1 AND seq > :at2))",
    ),
    "oldest": ("seq", "seq > :at0"),
    "newest": ("seq DESC", "seq < -:at0"),
}
_PLACES: Final[Mapping[JobOrder, int]] = {"priority": 3, "oldest": 1, "newest": 1}
_TIMES: Final = ("created_since", "created_until", "ended_since", "ended_until")


def _statuses(
    given: "JobStatus | str | Iterable[JobStatus | str] | None",
) -> tuple[JobStatus, ...] | None:
    if given is None:
        return None
    # What is no text stays what it is, to be refused with everything else.
    return tuple(JobStatus(one) if isinstance(one, str) else one for one in _several(given))


def _types(given: "str | Iterable[str] | None") -> tuple[str, ...] | None:
    if given is None:
        return None
    return tuple(str(one) if isinstance(one, str) else one for one in _several(given))


def _several(given: object) -> tuple[Any, ...]:
    if isinstance(given, Iterable) and not isinstance(given, str):
        return tuple(cast("Iterable[object]", given))
    return (given,)


def _seconds(given: "datetime | float | None") -> float | None:
    # One without a time zone stays what it is, to be refused with everything else.
    if isinstance(given, datetime) and given.utcoffset() is not None:
        return _life.when(given)
    return cast("float | None", given)


def _place(order: JobOrder, cursor: object) -> _Place | None:
    """The place that *cursor* tells; None if it is no cursor of *order*."""
    of, *parts = cursor.split(":") if isinstance(cursor, str) else ("",)
    try:
        place = tuple(int(part) if part.lstrip("-").isdigit() else float(part) for part in parts)
    except ValueError:
        return None
    told = len(place) == _PLACES[order] and all(abs(part) < MOST for part in place)
    return place if told and of == order else None


def _problems(query: "JobQuery") -> Iterator[str]:
    yield from _status_problems(query.status or ())
    for name, text in (*(("type", one) for one in query.type or ()), ("key", query.key)):
        if text is not None and not is_text(text):
            yield f"{name} is {text!r}: a text that can be stored is expected"
    for name in _TIMES:
        yield from _time_problems(name, getattr(query, name))
    if query.order not in list(_SQL):  # it may be what cannot be a key
        yield f"order is {query.order!r}: one of {', '.join(_SQL)} is expected"
    elif query.after is not None and query.place() is None:
        yield f"after is {query.after!r}: no cursor of the order {query.order!r}"
    for name, number in (("limit", query.limit), ("offset", query.offset)):
        if not is_whole(number, 0):
            yield f"{name} is {number!r}: a whole number is expected, not below 0 and at most 2**53"


def _status_problems(statuses: Iterable[object]) -> Iterator[str]:
    # No job has it, and it must not become part of a statement.
    strangers = [one for one in statuses if not (isinstance(one, JobStatus) and one.known)]
    if strangers:
        yield f"status is {', '.join(map(str, strangers))}: one of {', '.join(JobStatus)} is expected"


def _time_problems(name: str, at: object) -> Iterator[str]:
    if isinstance(at, datetime):
        yield f"{name} is {at.isoformat()}, which has no time zone: say datetime(..., tzinfo=timezone.utc)"
    elif at is not None and not is_number(at):
        yield f"{name} is {at!r}: a time, or seconds since 1970, is expected"


@attrs.frozen(kw_only=True)
class JobQuery:
    """Which jobs to list. What is not given leaves none out.

    Times are given in epoch seconds or as a datetime with a time zone, and kept in epoch seconds.

    Attributes:
        status: Only jobs of this status, or of one of these; of no status there is none.
        type: Only jobs of this type, or of one of these; of no type there is none.
        key: Only jobs that were stored with this key.
        created_since: Only jobs created then or later.
        created_until: Only jobs created before then.
        ended_since: Only jobs that ended then or later.
        ended_until: Only jobs that ended before then.
        order: See `JobOrder`.
        limit: At most so many; 0 for all.
        offset: Leave out so many first.
        after: The cursor a page ended with (:attr:`JobPage.next`): only jobs behind it.

    Raises:
        ValueError: Not a status, an order or a cursor of that order, a time without a time zone, a limit or an offset
            that is no whole number or below 0, a text that no store can hold; all of it is named.
    """

    status: tuple[JobStatus, ...] | None = attrs.field(default=None, converter=_statuses)
    type: tuple[str, ...] | None = attrs.field(default=None, converter=_types)
    key: str | None = None
    created_since: float | None = attrs.field(default=None, converter=_seconds)
    created_until: float | None = attrs.field(default=None, converter=_seconds)
    ended_since: float | None = attrs.field(default=None, converter=_seconds)
    ended_until: float | None = attrs.field(default=None, converter=_seconds)
    order: JobOrder = "priority"
    limit: int = 0
    offset: int = 0
    after: str | None = None

    def __attrs_post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise ValueError("; ".join(problems))

    def place(self) -> _Place | None:
        """Return the place behind which the page begins; None for the first page."""
        if self.after is None:
            return None
        return _place(self.order, self.after)

    def place_of(self, job: Job, seq: int) -> _Place:
        """Return where *job* stands, which was the *seq*-th to come."""
        if self.order == "priority":
            return -int(job.priority), _life.when(job.created_at), seq
        return (seq,) if self.order == "oldest" else (-seq,)

    def takes_in(self, job: Job, key: str | None, seq: int) -> bool:
        """Return whether *job*, which was the *seq*-th to come, stands on this page or behind it."""
        behind = self.place()
        return self.asks_for(job, key) and (behind is None or self.place_of(job, seq) > behind)

    def asks_for(self, job: Job, key: str | None) -> bool:
        """Return whether *job*, stored with *key*, is none to leave out."""
        ended = None if job.completed_at is None else _life.when(job.completed_at)
        return (
            (self.status is None or job.status in self.status)
            and (self.type is None or str(job.type) in self.type)
            and (self.key is None or key == self.key)
            and _between(_life.when(job.created_at), self.created_since, self.created_until)
            and _between(ended, self.ended_since, self.ended_until)
        )

    def sql(self) -> tuple[str, Mapping[str, float | str]]:
        """Return a statement, and its values, for the ``seq`` of the jobs in their order, one more than asked for."""
        order, behind = _SQL[self.order]
        wheres: list[str] = []
        values: dict[str, float | str] = {
            "limit": self.limit + 1 if self.limit else -1,
            "offset": self.offset,
        }

        def add(where: str, **given: float | str | None) -> None:
            if None not in given.values():
                wheres.append(where)
                values.update((name, value) for name, value in given.items() if value is not None)

        if self.status == () or self.type == ():
            add("0")
        elif self.status:
            # Written out: SQLite uses a partial index only where it can see its condition. Completed jobs are most of
            # an old file, so they are walked as they stand (that is what the + is for), and not sorted for each page.
            sign = "+" if JobStatus.COMPLETED in self.status and self.order != "priority" else ""
            add(" OR ".join(f"{sign}status = '{status}'" for status in self.status))
        if self.type:
            names = {f"type{number}": type_ for number, type_ in enumerate(self.type)}
            add(f"type IN ({', '.join(f':{name}' for name in names)})", **names)
        add("key = :key", key=self.key)
        add("created_at >= :created_since", created_since=self.created_since)
        add("created_at < :created_until", created_until=self.created_until)
        add("completed_at >= :ended_since", ended_since=self.ended_since)
        add("completed_at < :ended_until", ended_until=self.ended_until)
        place = self.place()
        if place is not None:
            add(behind, **{f"at{number}": part for number, part in enumerate(place)})
        where = f" WHERE {' AND '.join(f'({one})' for one in wheres)}" if wheres else ""
        return (
            f"SELECT seq FROM jobs{where} ORDER BY {order} LIMIT :limit OFFSET :offset",
            values,
        )

    def sql_order(self) -> str:
        """Return the order, for whoever joins something to those jobs."""
        return _SQL[self.order][0]

    def page(self, found: Sequence[tuple[Job, int]]) -> "JobPage":
        """Return the page of the jobs *found*, each with its ``seq``, in their order and perhaps one too many."""
        if not self.limit or len(found) <= self.limit:
            return JobPage(jobs=tuple(job for job, _ in found), next=None)
        found = found[: self.limit]
        cursor = ":".join(map(str, (self.order, *self.place_of(*found[-1]))))
        return JobPage(jobs=tuple(job for job, _ in found), next=cursor)


def _between(at: float | None, since: float | None, until: float | None) -> bool:
    if at is None:
        return since is None and until is None
    return (since is None or at >= since) and (until is None or at < until)


@attrs.frozen(kw_only=True)
class JobPage:
    """Some of the jobs a query asks for.

    Attributes:
        jobs: The jobs, in the order asked for.
        next: What to give as ``after`` for the page that follows, from the same store; None at the end. It stays good
            whatever comes or goes meanwhile.
    """

    jobs: tuple[Job, ...]
    next: str | None


class JobWalk:
    """All jobs a query asks for, one by one, a page at a time.

    No generator, for the reasons given in `novitai_sdk._calling`; after an error it asks for the same page again.
    """

    def __init__(self, fetch: Callable[[JobQuery], Awaitable[JobPage]], query: JobQuery) -> None:
        self._fetch = fetch
        self._query: JobQuery | None = query
        self._ready: deque[Job] = deque()
        self._fetching = False

    async def step(self) -> Job:
        """Return the next job. Raises StopAsyncIteration after the last."""
        while not self._ready:
            if self._query is None:
                raise StopAsyncIteration
            if self._fetching:
                raise RuntimeError("two callers at once want the next page of one iteration")
            self._fetching = True
            try:
                page = await self._fetch(self._query)
            finally:
                self._fetching = False
            # The offset is of the first page; all others go on behind the one before.
            rest = attrs.evolve(self._query, after=page.next, offset=0)
            self._query = None if page.next is None else rest
            self._ready.extend(page.jobs)
        return self._ready.popleft()
