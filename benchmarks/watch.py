"""What ten thousand instances on their way up cost: requests, CPU and memory, beside a look at each of them.

    python benchmarks/watch.py [monitors]

The cloud is a process of its own. What is measured is the client: jobs claimed from and given back to a file, pages
read, sights compared.
"""

import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from records import RECORD
from server import Answering, running, serve, whole

from novitai_sdk import AsyncNovitai, Attempt
from novitai_sdk.instances._jobs import monitor_job
from novitai_sdk.instances._records import Managed, write_of
from novitai_sdk.jobs import Change, SqliteStore
from novitai_sdk.models import (
    Configuration,
    InstanceState,
    InstanceStatus,
    Timestamps,
)

PAGE = 100
ROUNDS = 6
SINGLE = 1000
LEAN = {
    **{name: value for name, value in RECORD.items() if not name.startswith("connect")},
    "id": "THE-ID",
    "status": "pulling",
    "portMappings": [],
}


class Pages(Answering):
    """Shows machines that pull their image for ever; *count* of them are listed."""

    count = 0
    before, after = json.dumps(LEAN).split("THE-ID")

    def data_received(self, data: bytes) -> None:
        self.read += data
        while b"\r\n\r\n" in self.read:
            head, _, self.read = self.read.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode()
            self.transport.write(whole(self.answer(parse_qs(urlsplit(target).query)).encode()))

    def answer(self, query: Mapping[str, Sequence[str]]) -> str:
        if "instanceId" in query:
            return self.record(query["instanceId"][0])
        # Page 0 and page 1 are the same.
        size = int(query["pageSize"][0])
        start = max(0, int(query["pageNum"][0]) - 1) * size
        listed = ",".join(
            self.record(machine(number)) for number in range(start, min(self.count, start + size))
        )
        return f'{{"instances": [{listed}], "total": {self.count}}}'

    def record(self, machine: str) -> str:
        return f"{self.before}{machine}{self.after}"


class Ticks:
    """Requests by tick: a quarter of a second without one begins a new one."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._last = float("-inf")

    def note(self, _: Attempt) -> None:
        now = time.monotonic()
        if now - self._last > 0.25:
            self.counts.append(0)
        self.counts[-1] += 1
        self._last = now


def machine(number: int) -> str:
    return f"{number:016x}"


def managed(number: int, created: datetime) -> Managed:
    state = InstanceState(
        id=f"inst_{number}_aaaaaaa",
        name=f"run-{number}",
        status=InstanceStatus.STARTING,
        product_id="4090.16c62g",
        template_id="1",
        configuration=Configuration(
            gpu_num=1, rootfs_size=100, region="US-WEST-01", image_url="docker.io/library/ubuntu"
        ),
        timestamps=Timestamps(created=created, started=created),
        novita_instance_id=machine(number),
    )
    return Managed(state=state, phase="pulling", max_wait=86_400.0)


def fill(path: Path, count: int) -> None:
    """Put *count* monitors into a file, as a program does that then ends."""
    store, now = SqliteStore(path), time.time()
    created = datetime.fromtimestamp(now - 10, tz=timezone.utc)
    for start in range(0, count, 500):
        some = [managed(number, created) for number in range(start, min(count, start + 500))]
        writes = tuple(write_of(one, 0) for one in some)
        jobs = tuple(monitor_job(one, now=now, first_look=now) for one in some)
        store.commit(Change(writes=writes, jobs=jobs)).result()
    store.close(60)


def memory(what: str) -> float:
    """Megabytes this process holds (VmRSS), or held at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("only Linux tells how much memory a process holds")


async def watched(options: Mapping[str, Any], path: Path) -> tuple[float, Sequence[int]]:
    """Let the client watch for some ticks; return the seconds of CPU of one, and the requests of each."""
    ticks, began = Ticks(), 0.0
    async with AsyncNovitai(
        **options, store=path, poll_interval=6.0, on_attempt=ticks.note
    ) as client:
        while len(ticks.counts) < ROUNDS:
            await asyncio.sleep(0.05)
            if len(ticks.counts) == 2 and not began:  # the first one reads every record
                began = time.process_time()
        spent = time.process_time() - began
        assert (await client.jobs.stats()).total_jobs, "nobody is watched any more"
    return spent / (ROUNDS - 2), ticks.counts[1:-1]


async def looked_at_singly(options: Mapping[str, Any], count: int) -> float:
    """Return the seconds of CPU of a look at each."""
    async with AsyncNovitai(**options, store="memory") as client:
        began = time.process_time()
        for number in range(SINGLE):
            await client.cloud.instances.get(machine(number))
        return (time.process_time() - began) / SINGLE * count


async def main(count: int, base_url: str) -> None:
    options = {"api_key": "k", "base_url": base_url, "rate_limit": None}
    before = memory("VmRSS")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "jobs.sqlite3")
        fill(path, count)
        together, ticks = await watched(options, path)
        print(f"\n{count} monitors, {len(ticks)} ticks")
        tell("requests in a tick, at most", max(ticks), ceil(count / PAGE) + 1, "  ")
        tell("memory in all, at most", memory("VmHWM"), 100, "MB")
        print(f"  {'of that before the first monitor':<40} {before:9.1f} MB")
        singly = await looked_at_singly(options, count)
        print(f"  {'CPU of a tick, one watch, jobs and all':<40} {together:9.2f} s")
        print(f"  {'CPU of a look at each, no jobs':<40} {singly:9.2f} s")
        print(f"  {'ratio':<40} {together / singly:9.2f}")


def tell(what: str, found: float, most: float, unit: str) -> None:
    verdict = "holds" if found <= most else "MISSED"
    print(f"  {what:<40} {found:9.1f} {unit}  (at most {most:g}: {verdict})")


if __name__ == "__main__":
    logging.disable()  # it would name those who are left on their way
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    if sys.argv[2:] == ["serve"]:
        Pages.count = count
        asyncio.run(serve(Pages))
    else:
        with running(Path(__file__), str(count), "serve") as address:
            asyncio.run(main(count, address))
