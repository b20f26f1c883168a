"""How often the cloud sent what this version does not know."""

import threading

import attrs

from .._drift import MOST, Note, noted
from ..models._base import Model

__all__ = ["Drift", "Tally"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Drift(Model):
    """One thing the cloud sent that this version does not know."""

    model: str
    """Where: the name of the model, such as ``Instance``."""

    field: str
    """Its field, by the name on the wire."""

    value: str | None = None
    """The unknown value of a known field, shortened; None for an unknown field, whose values may be secret.

    Of a field that was left out because its value cannot be read, what is wrong with it.
    """

    count: int = 1
    """How often."""


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
                if note in self._counts or len(self._counts) < MOST:
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
