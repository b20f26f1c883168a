"""Kills processes while they make the file, or bring one of an earlier layout up to date."""

import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final

from company import SOON, company, first_to_open
from copies import Answered, Outcome, answered, faults
from journals import read

from novitai_sdk.jobs._layout import APPLICATION_ID, CREATE, LAYOUT

# Enough for a layout to take a few milliseconds.
OLD: Final = tuple(f"old-{number}" for number in range(3000))
LONGEST: Final = 0.012
NOW: Final = 1_700_000_000.0


def write_first_layout(path: Path) -> None:
    """Make a file as the first version left it, with jobs that had ended."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for statement in CREATE:
            db.execute(statement)
        db.executemany(
            "INSERT INTO jobs (seq, id, type, status, priority, attempts, max_attempts, created_at, completed_at, due)"
            " VALUES (?, ?, 'instant', 'completed', 2, 1, 3, ?, ?, ?)",
            ((seq, id_, NOW, NOW, NOW) for seq, id_ in enumerate(OLD, 1)),
        )
        db.executemany(
            "INSERT INTO payloads VALUES (?, '{}')", ((n,) for n in range(1, len(OLD) + 1))
        )
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
        db.commit()
        db.execute("PRAGMA journal_mode = WAL")


def bear(directory: Path, rounds: int, chance: random.Random) -> Outcome:
    """Have a file opened for the first time and whoever does it killed, so many times."""
    ways: Counter[str] = Counter()
    jobs, broken = 0, list[str]()
    for number in range(rounds):
        with company(directory / str(number), chance.getrandbits(32), plain=True) as those:
            old = number % 2 == 1
            if old:
                write_first_layout(those.path)
            openers = [those.hire("producer") for _ in range(chance.choice((1, 1, 2)))]
            first_to_open(openers, SOON)
            time.sleep(chance.uniform(0, LONGEST))
            for one in openers:
                those.kill(one)
            ways[state(those.path)] += 1
            told_before = answered(read(those.journal_path))
            jobs += len(told_before.jobs)
            if old:
                told_before = Answered(told_before.jobs | {*OLD}, frozenset(OLD))
            broken += [*faults(those.path, told_before), *those.strange]
    return Outcome(ways=ways, jobs=jobs, broken=broken)


def state(path: Path) -> str:
    if not path.exists():
        return "before the file"
    with closing(sqlite3.connect(path)) as db:
        (layout,) = db.execute("PRAGMA user_version").fetchone()
        return {0: "empty file", LAYOUT: "newest layout"}.get(layout, "earlier layout")
