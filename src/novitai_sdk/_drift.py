"""What the cloud sends that this version does not know: kept with the values, and counted here.

The converter notes what it meets, the session that asked takes the notes to the tally of its client. Between the two
nothing waits, so what a thread has noted since its last call is of the answer it has just read.
"""

import threading
from collections.abc import Iterable
from typing import Final

import attrs

from .models._base import Model

__all__ = [
    "Drift",
    "Tally",
    "forget_since",
    "note_field",
    "note_value",
    "noted",
    "noted_here",
]

# A peer that sends a fresh word with every reply must not make this process grow.
_MOST: Final = 1000
_LONGEST: Final = 100

Note = tuple[str, str, str | None]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Drift(Model):
    """One thing the cloud sent that this version does not know."""

    model: str
    """Where: the name of the model, such as ``Instance``."""

    field: str
    """Its field, by the name on the wire."""

    value: str | None = None
    """The unknown value of a known field, shortened; None for an unknown field, whose values may be secret."""

    count: int = 1
    """How often."""


noted: Final[dict[int, list[Note]]] = {}
"""What was noted and not taken yet, by thread: empty as long as nothing is unknown."""


def note_field(model: str, names: Iterable[str]) -> None:
    """Note fields of *model* that are unknown."""
    _note((model, name[:_LONGEST], None) for name in names)


def note_value(model: str, field: str, value: object) -> None:
    """Note a *value* of a known *field* that is unknown."""
    _note([(model, field, str(value)[:_LONGEST])])


def _note(notes: Iterable[Note]) -> None:
    mine = noted.setdefault(threading.get_ident(), [])
    if len(mine) < _MOST:
        mine.extend(notes)


def noted_here() -> int:
    """How much this thread has noted."""
    return len(noted.get(threading.get_ident(), ()))


def forget_since(before: int) -> None:
    """Take back what this thread has noted since *before*: it reads the same once more."""
    if noted:
        del noted.get(threading.get_ident(), [])[before:]


class Tally:
    """Counts what was unknown in the answers to one client, from any thread; at most 1,000 different things."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Note, int] = {}

    def take(self) -> None:
        """Count what this thread has noted."""
        notes = noted.pop(threading.get_ident(), ())
        with self._lock:
            for note in notes:
                if note in self._counts or len(self._counts) < _MOST:
                    self._counts[note] = self._counts.get(note, 0) + 1

    def read(self) -> tuple[Drift, ...]:
        """Return what was counted, by model, field and value."""
        with self._lock:
            counts = sorted(self._counts.items(), key=lambda one: (one[0][:2], one[0][2] or ""))
        return tuple(
            Drift(model=model, field=field, value=value, count=count)
            for (model, field, value), count in counts
        )

    def begin_anew(self) -> None:
        """After a fork, somebody in the parent may hold the lock."""
        self._lock = threading.Lock()
