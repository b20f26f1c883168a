"""Holds workers up for longer than their leases: others take their jobs over, and what the late ones bring is dropped.

A kill cannot show that, since the dead bring nothing.
"""

import random
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
from aftermath import drain, evidence
from company import SOON, Company, company, first_to_open, standing_still
from journals import read
from verdict import Verdict, judge

LEASE = 0.4
SHORTEST = 0.3  # not every pause lasts until the lease has ended
LONGEST = 1.2
SLOW = 0.2  # so that who was late often finds another at work still
BETWEEN = 0.2


def hold_up(directory: Path, rounds: int, chance: random.Random) -> tuple[Verdict, Sequence[str]]:
    """Hold up one of three workers, so many times and until somebody was too late; answer as ``campaign.run``."""
    with company(directory, chance.getrandbits(32), lease=LEASE, slow=SLOW) as those:
        workers = [those.hire("worker", backend=one) for one in ("asyncio", "asyncio", "trio")]
        those.hire("producer")
        for member in those.members:
            first_to_open([member], SOON)
        done, until = 0, time.monotonic() + SOON
        while done < rounds or (not losses(those) and time.monotonic() < until):
            time.sleep(chance.uniform(0, BETWEEN))
            with standing_still([chance.choice(workers)]):
                time.sleep(chance.uniform(SHORTEST, LONGEST))
            done += 1
        drain(those)
        return judge(attrs.evolve(evidence(those), lapsing=True)), those.strange


def losses(those: Company) -> int:
    return sum(entry.word == "lost" for entry in read(those.journal_path))
