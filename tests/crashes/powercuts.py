"""A stand-in for power cuts: copies of the file as one could leave it, made while processes write.

All processes stand still while a copy is made, so it shows one moment. What SQLite had not flushed by then, a power cut
may take, or leave in any state: so the end of the write-ahead log is cut off or filled with something else behind the
last commit that had been answered, and the pages that a checkpoint was writing are old, new, or half of each.

What that shows: whatever the end of the log looks like, what was answered before is found again and the file is whole.
What it does not show: that the flush is asked for before the answer, which is SQLite's part with ``synchronous=FULL``;
and that the disk does what it is asked for. Only a machine that is switched off shows that.
"""

import random
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import attrs
from company import Company, company, first_to_open, standing_still
from copies import Answered, Outcome, answered, faults
from journals import read

SOON: Final = 30.0
SECTOR: Final = 512
WAL_HEADER: Final = 32
FRAME_HEADER: Final = 24
LONGEST: Final = 0.03


@attrs.frozen(kw_only=True)
class Sight:
    """The files in one moment, and what callers had been told until then."""

    database: bytes
    wal: bytes
    told: Answered

    @property
    def generation(self) -> bytes:
        """Changes when the log is begun anew, after all of it went into the database."""
        return self.wal[12:24]

    def committed(self) -> int:
        """Where the last whole transaction in the log ends."""
        if len(self.wal) < WAL_HEADER:
            return 0
        (page_size,) = struct.unpack(">I", self.wal[8:12])
        end, at = WAL_HEADER, WAL_HEADER
        while len(self.wal) >= (after := at + FRAME_HEADER + page_size):
            _, pages, salts = struct.unpack(">II8s", self.wal[at : at + 16])
            if salts != self.wal[16:24]:
                break  # left from the generation before
            at = after
            end = at if pages else end
        return end


def look(those: Company) -> Sight:
    wal = Path(f"{those.path}-wal")
    with standing_still(those.members):
        return Sight(
            database=those.path.read_bytes(),
            wal=wal.read_bytes() if wal.exists() else b"",
            told=answered(read(those.journal_path)),
        )


Files = tuple[bytes, bytes]


def all_flushed(_: Sight, last: Sight, __: random.Random) -> Files:
    return last.database, last.wal


def end_cut_off(first: Sight, last: Sight, chance: random.Random) -> Files:
    return first.database, last.wal[: chance.randint(first.committed(), len(last.wal))]


def end_torn(first: Sight, last: Sight, chance: random.Random) -> Files:
    wal = bytearray(last.wal)
    for start in range(first.committed(), len(wal), SECTOR):
        sector = slice(start, min(start + SECTOR, len(wal)))
        size = sector.stop - sector.start
        wal[sector] = chance.choice((last.wal[sector], bytes(size), chance.randbytes(size)))
    return first.database, bytes(wal)


def pages_torn(first: Sight, last: Sight, chance: random.Random) -> Files:
    before = first.database.ljust(len(last.database), b"\0")
    database = bytearray(last.database)
    for start in range(0, len(database), SECTOR):
        sector = slice(start, start + SECTOR)
        database[sector] = chance.choice((before, last.database))[sector]
    return bytes(database), last.wal


# While the log goes on. When it is begun anew between two looks, all that was told before is in the database.
WAYS: Final[tuple[Callable[[Sight, Sight, random.Random], Files], ...]] = (
    all_flushed,
    end_cut_off,
    end_torn,
    pages_torn,
)


def cut_the_power(directory: Path, cuts: int, chance: random.Random) -> Outcome:
    """Copy the file *cuts* times while three processes write, as a power cut could leave it, and look what is in it."""
    ways: Counter[str] = Counter()
    found: list[str] = []
    checked: Mapping[str, int] = Counter[str]()
    with company(directory, chance.getrandbits(32), plain=True) as those:
        for role in ("producer", "producer", "worker", "checkpointer"):
            those.hire(role)
        for member in those.members:
            first_to_open([member], SOON)
        for number in range(cuts):
            time.sleep(chance.uniform(0, LONGEST))
            first = look(those)
            time.sleep(chance.uniform(0, LONGEST))
            last = look(those)
            way = chance.choice(WAYS) if first.generation == last.generation else all_flushed
            told = last.told if way in (all_flushed, pages_torn) else first.told
            ways[way.__name__.replace("_", " ")] += 1
            checked = Counter(jobs=len(told.jobs), settled=len(told.settled))
            copy = directory / f"cut-{number}"
            copy.mkdir()
            leave(copy / "jobs.db", way(first, last, chance))
            found += [
                f"cut {number}, {way.__name__}: {one}" for one in faults(copy / "jobs.db", told)
            ]
        those.dismiss("producer", "checkpointer", "worker")
        return Outcome(ways=ways, **checked, broken=[*found, *those.strange])


def leave(path: Path, files: Files) -> None:
    """Put the two files where somebody finds them when the power is back."""
    database, wal = files
    path.write_bytes(database)
    Path(f"{path}-wal").write_bytes(wal)
