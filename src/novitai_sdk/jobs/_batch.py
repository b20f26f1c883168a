"""Operations that are committed together, by as few statements as they need."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from .._promise import Promise
from ._announce import Events
from ._arrivals import Arrival, add_alone, file_arrivals, file_each
from ._layout import Connection
from ._offers import Delivery
from ._rows import Rows

__all__ = ["Refusal", "Task", "perform"]

T = TypeVar("T")

Fill = Callable[[Rows, Events], Mapping[str, Delivery]]
"""Lets idle workers have what was made due, in the same transaction."""


class Task(Promise[T]):
    """An operation, and what whoever asked for it waits for: one object, for there are thousands a second.

    *arrivals* are the jobs of one that does nothing but add jobs.
    """

    __slots__ = ("arrivals", "run")

    def __init__(self, run: Callable[[Rows, Events], T], arrivals: Sequence[Arrival] = ()) -> None:
        super().__init__()
        self.run = run
        self.arrivals = arrivals


@attrs.frozen
class Refusal:
    """Why one operation of several was not done."""

    error: Exception


Tasks = Sequence[Task[Any]]
Ends = tuple[Sequence[object], Mapping[str, Delivery]]
"""What each operation comes to, and what each idle worker was given."""

_ADDED: Final[Ends] = (None,), {}


def perform(
    db: Connection,
    tasks: Tasks,
    events: Events,
    fill: Fill,
    translate: Callable[[Exception], Exception],
    *,
    offered: bool,
) -> Ends:
    """Do *tasks* in one transaction; those that fail alone do not sink the others.

    *offered* tells whether any worker has a slot on offer. Raises what sinks all of them.
    """
    # One statement is a transaction by itself, and who stores one job waits for each that stands around it.
    lone = None if offered else _lone(tasks)
    if lone is not None and add_alone(db, lone, events):
        return _ADDED
    # Nearly always all of them succeed, and savepoints would be half the work. If one does not, all is rolled back
    # and done again with them: no task does anything but by its connection and its events.
    return _all_at_once(db, tasks, events, fill) or _one_by_one(db, tasks, events, fill, translate)


def _lone(tasks: Tasks) -> Arrival | None:
    """The job, if to do *tasks* is to add one, by one statement."""
    arrivals = tasks[0].arrivals if len(tasks) == 1 else ()
    return arrivals[0] if len(arrivals) == 1 and arrivals[0].plain else None


def _all_at_once(db: Connection, tasks: Tasks, events: Events, fill: Fill) -> Ends | None:
    rows = Rows(db)
    # Immediate: a transaction that begins as a reader cannot wait for another writer.
    db.execute("BEGIN IMMEDIATE")
    try:
        file_arrivals(db)
        ends = _run(tasks, rows, events)
        taken = fill(rows, events)
    except Exception:  # noqa: BLE001 - it comes again, and is told to whom it concerns
        if db.in_transaction:  # a full disk has ended it
            db.execute("ROLLBACK")
        events.clear()
        return None
    db.execute("COMMIT")
    return ends, taken


def _run(tasks: Tasks, rows: Rows, events: Events) -> list[object]:
    """Do *tasks* in their order, those beside each other that only add jobs by one statement."""
    ends: list[object] = []
    arrivals: list[Arrival] = []
    for task in tasks:
        if task.arrivals:
            arrivals += task.arrivals
            ends.append(None)
            continue
        if arrivals:
            rows.add(arrivals, events)
            arrivals.clear()
        ends.append(task.run(rows, events))
    if arrivals:
        rows.add(arrivals, events)
    return ends


def _one_by_one(
    db: Connection,
    tasks: Tasks,
    events: Events,
    fill: Fill,
    translate: Callable[[Exception], Exception],
) -> Ends:
    rows = Rows(db)
    ends: list[object] = []
    _begin_with_care(db)
    for task in tasks:
        own = Events()
        db.execute("SAVEPOINT task")
        try:
            ends.append(task.run(rows, own))
            events.add(own)
        except Exception as error:
            if not db.in_transaction:  # SQLite has rolled back everything, as on a full disk
                raise
            db.execute("ROLLBACK TO task")
            ends.append(Refusal(translate(error)))
        db.execute("RELEASE task")
    taken = fill(rows, events)
    db.execute("COMMIT")
    return ends, taken


def _begin_with_care(db: Connection) -> None:
    """Begin, also where not all arrivals can be filed: what ends or removes jobs makes room on a full disk."""
    db.execute("BEGIN IMMEDIATE")
    file_each(db)
    if not db.in_transaction:
        db.execute("BEGIN IMMEDIATE")
