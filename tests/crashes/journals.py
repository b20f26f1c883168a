"""What the processes of a crash campaign put down while they live, in one file that outlives them all.

A line is on its way to the kernel when ``note`` returns, and SIGKILL takes nothing back from there. All append to one
file, so that its order is the order in which things happened, whoever they happened to.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs


@attrs.frozen
class Entry:
    """Something that happened.

    Attributes:
        at: Seconds on the monotonic clock, which all processes of a machine share.
        name: Who says so.
        word: What happened.
        facts: To what, and how.
    """

    at: float
    name: str
    word: str
    facts: tuple[Any, ...] = ()


class Journal:
    """Appends to the journal at *path* in the name of *name*."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, word: str, *facts: object) -> None:
        line = json.dumps([time.monotonic(), self.name, word, *facts])
        # The first line break ends what a killed process may have left halfway.
        os.write(self._file, f"\n{line}\n".encode())

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> Sequence[Entry]:
    """Everything in the journal at *path*, in order, but for lines whose writer was killed inside them."""
    entries: list[Entry] = []
    for line in path.read_bytes().splitlines():
        if not line:
            continue
        try:
            at, name, word, *facts = json.loads(line)
        except ValueError:
            continue
        entries.append(Entry(at, name, word, tuple(facts)))
    return entries
