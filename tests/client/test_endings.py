"""How programs end: in order, by a signal, by being killed, or by forgetting to; real processes on real files."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from faces import WANTED, Face
from moments import block_until

from novitai_sdk import Novitai
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.jobs import MemoryStore, exit_on_sigterm
from novitai_sdk.models import JobStatus

SOON = 10.0
LOGGER = "novitai_sdk"

# What every program below begins with: a payload, a client, and jobs that take their time.
BEGIN = """
import logging, os, sys, time
import anyio, attrs
from novitai_sdk import AsyncNovitai, Novitai
from novitai_sdk.jobs import exit_on_sigterm

key, url, store, takes = sys.argv[1:]
options = dict(api_key=key, base_url=url, store=store, drain=5, poll_interval=0.01)

@attrs.frozen
class Nap:
    seconds: float

def register(client):
    @client.jobs.handler(Nap)
    async def nap(nap, context):
        print("began", flush=True)
        await anyio.sleep(nap.seconds)

async def begun(client):
    register(client)
    await client.jobs.enqueue(Nap(float(takes)))
    while not (await client.jobs.stats()).processing_jobs:
        await anyio.sleep(0.001)
"""

PLAIN = """
with Novitai(**options) as client{block}:
    register(client)
    client.jobs.enqueue(Nap(float(takes)))
    client.jobs.work()
"""

AWAITING = """
async def main():
    async with AsyncNovitai(**options) as client{block}:
        register(client)
        await client.jobs.enqueue(Nap(float(takes)))
        await client.jobs.work()

anyio.run(main, backend="{backend}")
"""

PROGRAMS = {
    "plain": PLAIN,
    "asyncio": AWAITING.replace("{backend}", "asyncio"),
    "trio": AWAITING.replace("{backend}", "trio"),
}


class Running:
    """One program in a process of its own, and the store it leaves."""

    def __init__(self, cloud: Emulator, path: Path, script: str, takes: float = 0.0) -> None:
        self.options = {"api_key": cloud.api_key, "base_url": cloud.base_url, "store": path}
        self.process = subprocess.Popen(
            [
                sys.executable,
                *("-W", "error", "-c", BEGIN + script),
                *(cloud.api_key, cloud.base_url, str(path), str(takes)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str]:
        _, told = self.process.communicate(timeout=30)
        return self.process.returncode, told

    def leaves(self, status: JobStatus, attempts: int) -> None:
        """Hold the one job in the store to this, as soon as whoever looks next has seen that this process is gone."""
        with Novitai(**self.options, drain=0) as client:
            block_until(
                lambda: (
                    [(job.status, job.attempts) for job in client.jobs.list()]
                    == [(status, attempts)]
                )
            )


@contextmanager
def running(*args: Any, **options: Any) -> Iterator[Running]:
    program = Running(*args, **options)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
        program.process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")


# -- SIGTERM ------------------------------------------------------------------------------------------


@signals
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_asked_for_it_drains_on_sigterm(cloud, path, name):
    script = PROGRAMS[name].replace("{block}", ", exit_on_sigterm()")
    with running(cloud, path, script, takes=0.3) as program:
        assert program.line() == "began"
        program.process.send_signal(signal.SIGTERM)
        assert program.end() == (143, "")
    program.leaves(JobStatus.COMPLETED, 1)


@signals
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_second_sigterm_ends_it_at_once_and_loses_nothing(cloud, path, name):
    script = PROGRAMS[name].replace("{block}", ", exit_on_sigterm()")
    with running(cloud, path, script, takes=60) as program:
        assert program.line() == "began"
        program.process.send_signal(signal.SIGTERM)
        block_until(lambda: _ignores_no_sigterm(program.process.pid))
        program.process.send_signal(signal.SIGTERM)
        assert program.end() == (-signal.SIGTERM, "")
    program.leaves(JobStatus.PENDING, 1)


def _ignores_no_sigterm(pid: int) -> bool:
    """Whether SIGTERM has its default action again in that process."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("this system does not show which signals a process catches")
    (caught,) = (line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
    return not int(caught.split()[1], 16) & (1 << (signal.SIGTERM - 1))


@signals
@pytest.mark.parametrize("name", PROGRAMS)
def test_any_other_program_dies_of_sigterm_at_once_and_the_next_goes_on(cloud, path, name):
    with running(cloud, path, PROGRAMS[name].replace("{block}", ""), takes=60) as program:
        assert program.line() == "began"
        program.process.send_signal(signal.SIGTERM)
        assert program.end() == (-signal.SIGTERM, "")
    with running(cloud, path, PLAIN.replace("{block}", ""), takes=0) as other:
        assert other.line() == "began"  # both jobs, in either order
        assert other.line() == "began"


@signals
def test_a_handler_of_the_programs_own_is_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    mine: Any = lambda number, frame: None  # noqa: E731
    signal.signal(signal.SIGTERM, mine)
    try:
        with pytest.raises(RuntimeError, match="handler of its own"), exit_on_sigterm():
            raise AssertionError
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


@signals
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_without_a_signal_the_block_changes_nothing(backend):
    async def main() -> None:
        async with exit_on_sigterm():
            await anyio.lowlevel.checkpoint()
        with pytest.raises(LookupError, match="mine"):
            async with exit_on_sigterm():
                raise LookupError("mine")
        with anyio.CancelScope() as scope:
            async with exit_on_sigterm():
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught

    with exit_on_sigterm():
        pass
    anyio.run(main, backend=backend)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_signals_are_heard_in_the_main_thread_only():
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            exit_on_sigterm().__enter__()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


# -- forgetting to close ------------------------------------------------------------------------------


FORGETFUL = {
    "plain": """
client = Novitai(**options)
register(client)
client.jobs.enqueue(Nap(float(takes)))
while not client.jobs.stats().processing_jobs:
    time.sleep(0.001)
""",
    "asyncio": """
client = AsyncNovitai(**options)
anyio.run(begun, client)
""",
    "trio": """
client = AsyncNovitai(**options)
anyio.run(begun, client, backend="trio")
""",
    "an ordinary function": """
client = Novitai(**options)

@client.jobs.handler(Nap)
def nap(nap, context):
    print("began", flush=True)
    time.sleep(nap.seconds)

client.jobs.enqueue(Nap(float(takes)))
while not client.jobs.stats().processing_jobs:
    time.sleep(0.001)
""",
}


def silenced(script: str) -> str:
    """The same, without the warning about clients that were not closed, which is what it is about."""
    return "import warnings; warnings.simplefilter('ignore', ResourceWarning)\n" + script


@pytest.mark.parametrize("name", FORGETFUL)
def test_a_program_that_forgets_to_close_lets_its_jobs_finish(cloud, path, name):
    with running(cloud, path, silenced(FORGETFUL[name]), takes=0.2) as program:
        assert program.end() == (0, "")
    program.leaves(JobStatus.COMPLETED, 1)


@pytest.mark.parametrize("name", FORGETFUL)
def test_and_hands_them_back_when_that_takes_too_long(cloud, path, name):
    script = silenced(FORGETFUL[name]).replace("**options", "**{**options, 'drain': 0.05}")
    with running(cloud, path, script, takes=60) as program:
        assert program.end() == (0, "")
    program.leaves(JobStatus.PENDING, 0)


# -- leaving right after a create ---------------------------------------------------------------------


def test_who_asks_for_a_machine_and_leaves_gets_it(face: Face, path: Path, caplog):
    face.cloud.order(faults.slow("instances.create", seconds=0.1))

    async def story(client: Any, done: Any) -> str:
        return (await done(client.instances.create(**WANTED))).id

    made = face.tell(story, store=path)
    (machine,) = face.cloud.instances
    (told,) = [one for one in caplog.records if "on their way" in one.message]
    assert told.levelno == logging.WARNING
    assert told.instances == [made]
    assert f"{WANTED['name']} ({made}): rented as {machine.id} and billed" in told.message
    assert "next client on the same store goes on" in told.message
    # Another client on the file may be at it already, with somebody who waits there.
    assert "nobody waits for it here any more" in told.message
    assert "Another or the next client" in told.message


def test_with_no_drain_time_nothing_more_is_begun_and_that_is_said(face: Face, path: Path, caplog):
    at_once = 8  # creates; one more waits for a slot
    face.cloud.order(faults.slow("instances.create", seconds=60, times=None))

    async def story(client: Any, done: Any) -> str:
        for _ in range(at_once):
            await done(client.instances.create(**WANTED))
        while face.cloud.calls("instances.create") < at_once:
            await done(client.jobs.work(timeout=0.01))
        return (await done(client.instances.create(**WANTED))).id

    made = face.tell(story, store=path, drain=0)
    assert face.cloud.calls("instances.create") == at_once
    (told,) = [one for one in caplog.records if "on their way" in one.message]
    assert f"{WANTED['name']} ({made}): not rented yet" in told.message
    assert told.message.count("the answer to its create was lost, so it may be billed") == at_once


def test_a_store_in_memory_has_no_next_client_and_that_is_said(face: Face, caplog):
    async def story(client: Any, done: Any) -> None:
        await done(client.instances.create(**WANTED))

    face.tell(story)
    (told,) = [one.message for one in caplog.records if "on their way" in one.message]
    assert "no client goes on" in told
    caplog.clear()
    shared = MemoryStore()
    face.tell(story, store=shared)  # somebody else's store, which goes on
    (told,) = [one.message for one in caplog.records if "on their way" in one.message]
    assert "next client on the same store" in told


def test_who_leaves_nothing_undone_is_told_nothing(face: Face, path: Path, caplog):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        await done((await done(made.wait_until_ready(timeout=SOON))).delete())

    caplog.set_level(logging.WARNING, LOGGER)
    face.tell(story, store=path)
    assert caplog.records == []


CREATE = """
client = Novitai(**options)
client.instances.create(
    name="my-gpu-instance", product_name="RTX 4090 24GB", template_id="tf-training-template-1", region="US-WEST-01"
)
"""


def test_a_program_that_ends_right_after_a_create_has_rented(cloud, path):
    with running(cloud, path, silenced(CREATE)) as program:
        code, told = program.end()
    assert code == 0
    assert len(cloud.instances) == 1
    assert "my-gpu-instance" in told
    assert "rented as" in told


# -- fork ---------------------------------------------------------------------------------------------


FORK = """
import threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
from novitai_sdk.jobs import Done, Write, open_store

kept = open_store(store)
client = Novitai(**{**options, "store": kept})

@attrs.frozen
class Who:
    asks: str

def answer(who, context):
    by = {"pid": os.getpid(), "owner": context.claim.owner}
    return Done(writes=(Write(kind="by", key=context.job.id, body=by),))

def ask():
    client.jobs.handler(Who, type="who")(answer)
    job = client.jobs.enqueue(Who("me"))
    assert client.jobs.wait(job.id, timeout=10).status == "completed"
    return kept.read("by", job.id).result(10).body

before = ask()
assert before["pid"] == os.getpid()
child = os.fork()
if child == 0:
    # Of a type that the parent has no handler for, so that it is this process that does it.
    @attrs.frozen
    class OnlyHere:
        asks: str

    client.jobs.handler(OnlyHere)(answer)
    job = client.jobs.enqueue(OnlyHere("me"))
    assert client.jobs.wait(job.id, timeout=10).status == "completed"
    own = kept.read("by", job.id).result(10).body
    assert own["pid"] == os.getpid()
    assert own["owner"] != before["owner"]
    client.close()
    kept.close(10)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert ask()["owner"] == before["owner"]
client.close()
kept.close(10)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_client_goes_on_after_a_fork_and_the_child_is_an_owner_of_its_own(cloud, path):
    with running(cloud, path, FORK) as program:
        assert program.line() == "0"
        assert program.end() == (0, "")


AWAITING_FORK = """
import threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
warnings.simplefilter("ignore", ResourceWarning)
client = AsyncNovitai(**options)  # never entered: its jobs run in a thread
pids, turns = [], []

def register_own():
    # A type of this process and turn: what was registered before the fork, both of them work on.
    turns.append(1)

    @attrs.frozen
    class Who:
        asks: str

    @client.jobs.handler(Who, type=f"who-{os.getpid()}-{len(turns)}")
    async def who(who, context):
        pids.append(os.getpid())

    return Who("me")

async def ask():
    job = await client.jobs.enqueue(register_own())
    assert (await client.jobs.wait(job.id, timeout=10)).status == "completed"

async def ask_and_close():
    await ask()
    await client.aclose()

anyio.run(ask)
child = os.fork()
pids.clear()
anyio.run(ask_and_close)
assert pids == [os.getpid()]
if child == 0:
    # The loop's own worker thread may be on its way out still: that one is the caller's, and anyio's.
    assert not [one for one in threading.enumerate() if one.name.startswith("novitai")]
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_an_awaiting_client_goes_on_after_a_fork_too(cloud, path):
    with running(cloud, path, AWAITING_FORK) as program:
        assert program.line() == "0", program.end()
        assert program.end() == (0, "")
