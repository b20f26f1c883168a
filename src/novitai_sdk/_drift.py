"""What the cloud sends that this version does not know: kept with the values, and counted here.

The converter notes what it meets, the session that asked takes the notes to the tally of its client. Between the two
nothing waits, so what a thread has noted since its last call is of the answer it has just read.
"""

import threading
from collections.abc import Iterable
from itertools import islice
from typing import Final

__all__ = [
    "MOST",
    "Note",
    "forget_since",
    "note_field",
    "note_value",
    "noted",
    "noted_here",
]

# A peer that sends a fresh word with every reply must not make this process grow.
MOST: Final = 1000
_LONGEST: Final = 100

Note = tuple[str, str, str | None]


noted: Final[dict[int, list[Note]]] = {}
"""What was noted and not taken yet, by thread: empty as long as nothing is unknown."""


def note_field(model: str, names: Iterable[str]) -> None:
    """Note fields of *model* that are unknown."""
    _note((model, name[:_LONGEST], None) for name in names)


def note_value(model: str, field: str, value: object) -> None:
    """Note a *value* of a known *field* that is unknown, or what is wrong with one that cannot be read."""
    _note([(model, field, str(value)[:_LONGEST])])


def _note(notes: Iterable[Note]) -> None:
    mine = noted.setdefault(threading.get_ident(), [])
    mine.extend(islice(notes, max(0, MOST - len(mine))))


def noted_here() -> int:
    """How much this thread has noted."""
    return len(noted.get(threading.get_ident(), ()))


def forget_since(before: int) -> None:
    """Take back what this thread has noted since *before*: it reads the same once more."""
    if noted:
        del noted.get(threading.get_ident(), [])[before:]
